"""The bundled models, as they are measured: each in both formats. The first format is the one that is preferred."""

__all__ = ["MODELS", "MODEL_FILES"]

MODELS = ("accurate", "small")
MODEL_FILES = tuple(f"{model}{suffix}" for model in MODELS for suffix in (".tflite", ".onnx"))
