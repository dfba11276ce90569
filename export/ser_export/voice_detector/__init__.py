"""The one-off conversion of Silero's voice detector."""
