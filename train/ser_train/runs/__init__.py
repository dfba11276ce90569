"""Run directories: their files, settings, provenance, and which belong together."""
