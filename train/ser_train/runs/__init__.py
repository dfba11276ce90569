"""The run directory: what a training writes and everything later reads."""
