"""The codes of errors: stable names for programs and for docs/errors.md, whatever a message's wording."""

__all__ = ["CODES"]

CODES = {
    "audio": "audio that can't be classified",
    "error": "something that isn't a bug and has no code of its own",
    "export-converter-failed": "TensorFlow's TFLite converter failed or crashed",
    "export-stateful": "a converted file would keep state between calls",
    "export-unsupported-layer": "a network has a layer, operation or setting that the model format can't express",
    "export-unsupported-operator": "a converted file needs operators that its runtimes lack",
    "export-unsupported-precision": "the model format has no such precision",
    "export-verification-failed": "a converted file's answers differ from Keras's by more than its precision allows",
    "microphone": "no usable microphone",
    "model": "a model file that can't be used",
    "run-damaged": "a run directory has files that are damaged or contradict each other",
    "run-not-found": "there is no finished run in the directory",
    "runtime-unavailable": "a library that a model file needs is missing or doesn't load",
    "voice-detector-weights": "Silero's published weights are missing or of another version",
}
