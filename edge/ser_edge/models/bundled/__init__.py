"""The bundled models: their files, their names, and which is the default."""
