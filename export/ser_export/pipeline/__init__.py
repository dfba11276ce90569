"""Exports: convert, embed the metadata, verify, and only then give the file its name."""
