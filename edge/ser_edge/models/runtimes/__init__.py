"""The libraries that run a network: LiteRT and ONNX Runtime."""
