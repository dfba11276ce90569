"""The one list of audio suffixes, the formats known by their first bytes, and the errors of reading a file."""

from typing import Any

from ser_edge.errors import AudioError

# What folders are searched for.
_BY_LIBSNDFILE = """
.aif .aifc .aiff .au .caf .flac .mp2 .mp3 .oga .ogg .opus .rf64 .snd .voc .w64 .wav .wave
"""
_BY_FFMPEG = """
.3g2 .3gp .aac .ac3 .amr .ape .avi .awb .flv .m4a .m4b .m4r .m4v .mka .mkv .mov .mp4 .mpg .ogv .ra .spx .tta .weba
.webm .wma .wmv .wv
"""
MEDIA_SUFFIXES = frozenset(_BY_FFMPEG.split())
AUDIO_SUFFIXES = MEDIA_SUFFIXES | frozenset(_BY_LIBSNDFILE.split())

_NOT_READABLE = (
    "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...); if it holds sound: ffmpeg -i FILE sound.wav"
)
_BRANDS = {b"M4A ": "M4A", b"M4B ": "M4A", b"qt  ": "QuickTime", b"3gp": "3GP", b"3g2": "3GP"}  # of `ftyp`; else MP4
_FIRST_BYTES = {
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"#!AMR": "AMR",
    b"0&\xb2u\x8ef\xcf\x11": "WMA",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "True Audio",
    b"FLV\1": "Flash video",
    b"\0\0\1\xba": "MPEG video",
    b".RMF": "RealAudio",
    b"\x0b\x77": "AC-3",
}


def error_text(error: Any) -> str:
    """The message of libsndfile, without its preamble, or of the operating system, in one line."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).removeprefix("Error : ").split()).rstrip(".") or type(error).__name__


def read_error(name: str, error: Any) -> AudioError:
    """The AudioError for an exception of a library or the operating system, or for its message."""
    text = error_text(error)
    # the last is libsndfile's message for a file that is called .mp3 and isn't MP3
    if "not recognised" in text or "unknown format" in text.lower() or "is not a regular file" in text:
        return AudioError(f"{name}: {_NOT_READABLE}", code="audio-unknown-format")
    code = "audio-unreadable" if isinstance(error, OSError | ValueError) else "audio-damaged"
    return AudioError(f"{name}: can't be read: {text}", code=code)


def format_name(head: bytes) -> str | None:
    """The name of a format that libsndfile doesn't read, by its first bytes; None for all others."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
        return next((name for begin, name in _BRANDS.items() if brand.startswith(begin)), "MP4")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    return next((name for begin, name in _FIRST_BYTES.items() if head.startswith(begin)), None)
