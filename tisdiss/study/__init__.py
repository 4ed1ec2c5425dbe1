"""The language of study files: text -> document -> words -> resolved settings."""
