"""Keras networks to TFLite files."""
