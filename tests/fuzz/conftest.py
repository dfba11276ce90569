"""Keeps pytest out of `fuzz.py`, which needs atheris."""

collect_ignore = ["fuzz.py"]
