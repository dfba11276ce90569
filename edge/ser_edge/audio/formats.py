"""Which sound files there are, and what is said of a file that is none."""

from typing import Any

__all__ = ["AUDIO_SUFFIXES", "reason"]

# What libsndfile decodes and people keep voices in; a folder is searched for these.
AUDIO_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})


def reason(error: Any) -> str:
    """What libsndfile says, without its preamble, or the operating system's."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    text = str(text).removeprefix("Error : ").strip().rstrip(".")
    if "not recognised" in text or "unknown format" in text.lower():
        return "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)"
    return f"can't be read: {text}"
