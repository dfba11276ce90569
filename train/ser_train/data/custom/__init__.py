"""Your own recordings: a folder for each label, or a table."""
