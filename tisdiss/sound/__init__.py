"""Sound files of any origin; headers are not trusted."""
