"""Keras networks to ONNX graphs, and their quantisation."""
