"""Custom corpora: a folder for each label, or a table."""
