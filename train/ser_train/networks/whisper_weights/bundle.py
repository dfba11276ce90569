"""Writes the blocks of Whisper tiny.en that come with ser-train, from the official file.

    python -m ser_train.networks.whisper_weights.bundle tiny.en.pt

Float16 is the precision of the official file, so nothing is lost.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.errors import SerEdgeError
from ser_train.data.atomic import atomic_write
from ser_train.networks.whisper_weights.loader import BUNDLED, load_encoder_weights


def main(arguments: list[str] | None = None) -> int:
    """Writes the file; returns the exit code."""
    parser = ArgumentParser(
        prog="python -m ser_train.networks.whisper_weights.bundle", description=__doc__.split("\n")[0]
    )
    parser.add_argument("source", type=Path, help="a file with the weights of tiny.en")
    parser.add_argument(
        "target", type=Path, nargs="?", default=BUNDLED, help="the .npz to write (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        weights = load_encoder_weights(options.source)
    except SerEdgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    halved: dict[str, Any] = {name: array.astype(np.float16) for name, array in weights.items()}
    with atomic_write(options.target) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **halved)
    return 0


if __name__ == "__main__":
    sys.exit(main())
