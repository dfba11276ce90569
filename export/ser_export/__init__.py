"""ser_export: run directories in, proven model files out. See `ser-export --help`."""
