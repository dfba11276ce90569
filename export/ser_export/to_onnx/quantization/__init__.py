"""Stores the weights of ONNX graphs in fewer bits, and computes their large products in integers."""
