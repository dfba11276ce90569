"""The HTTP server: predictions for uploads and for streams, and the microphone's for viewers."""
