"""Samples in memory: any array type, sample format and layout to (samples, channels) float32."""
