"""Audio to predictions: whole files, windows of a stream, and many files at a time."""
