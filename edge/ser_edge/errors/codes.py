"""The codes of errors: stable names for programs and for docs/errors.md, whatever a message's wording."""

__all__ = ["CODES"]

CODES = {
    "audio": "audio that can't be classified",
    "error": "something that isn't a bug and has no code of its own",
    "microphone": "no usable microphone",
    "model": "a model file that can't be used",
    "runtime-unavailable": "a library that a model file needs is missing or doesn't load",
}
