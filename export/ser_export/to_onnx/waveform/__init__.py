"""Graphs that take samples: the front-end as ONNX operators around a converted network."""
