"""Coverage-guided fuzzing of ser-edge with atheris, which is libFuzzer for Python.

    python -m pip install '.[fuzz]'
    python tests/fuzz/fuzz.py file --seconds 600        # or pipe, raw, description, settings, onnx, tflite
    python tests/fuzz/fuzz.py file --again crash-0a1b   # throws what was found once more

The seeds are made of the sounds in `tests/sounds` and the bundled models. A finding ends it with a traceback and
another exit code than 0; its bytes lie in a file crash-..., timeout-... or oom-... in the working folder. The corpus
goes to a temporary folder, or to the one that --corpus names, to go on with.
"""

import argparse
import hashlib
import resource
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ser_edge", "soundfile", "json", "zipfile"]):
    from targets import TARGETS

_MEMORY = 1024  # MiB resident; a reader of sounds and descriptions needs a tenth
_ADDRESSES = 6 << 30  # bytes: an allocation that is never touched is a finding as well
_TIMEOUT = 20  # s for one input
_MAX_SIZE = 1 << 16  # bytes of one input, or the largest seed


def main() -> None:
    """Runs until the time is up, or something is found."""
    parser = argparse.ArgumentParser(description="Throws damaged bytes at ser-edge.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, help="folder of inputs to begin with, which grows")
    parser.add_argument("--again", type=Path, help="throw this file once, and end")
    options = parser.parse_args()
    warnings.simplefilter("error")  # a warning is a finding as well
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    target = TARGETS[options.target]
    if options.again:
        target.throw(options.again.read_bytes())
        return
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="ser-edge-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for seed in seeds:
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    arguments = {
        "max_total_time": options.seconds,
        "max_len": max(_MAX_SIZE, *map(len, seeds)),
        "rss_limit_mb": _MEMORY,
        "timeout": _TIMEOUT,
        "print_final_stats": 1,
    }
    flags = [f"-{name}={value}" for name, value in arguments.items()]
    lost: list[BaseException] = []  # raised where C calls Python, and printed
    sys.unraisablehook = lambda unraisable: lost.append(unraisable.exc_value or RuntimeError("unknown"))

    def throw(data: bytes) -> None:
        target.throw(data)
        if lost:
            raise lost.pop()

    atheris.Setup([sys.argv[0], *flags, str(corpus)], throw)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
