"""The language of study files: text -> document -> keys and values -> resolved settings."""
