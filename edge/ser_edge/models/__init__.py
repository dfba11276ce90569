"""Model files: metadata, checks, and the runtimes that run their networks. The bundled ones are in `bundled/`."""
