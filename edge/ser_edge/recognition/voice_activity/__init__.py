"""Voice activity detection: Silero's detector, and what it decides for streams and for files."""
