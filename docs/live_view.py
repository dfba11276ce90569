"""Draws the picture of the README, `live-view.svg`: what `ser-edge --mic` shows on a terminal.

    .venv/bin/python docs/live_view.py

The sounds in tests/sounds are streamed, with pauses between them, to the bundled model, and the lines of the live view
are drawn as a terminal draws them. Bars become rectangles, because fonts differ in their block characters.
"""

import math
import re
import sys
from html import escape
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from ser_edge import Recognizer
from ser_edge.output.live_view import Look, Picture, render

ROOT = Path(__file__).parents[1]
PAUSE, CHUNK = 4.0, 0.1  # seconds
LOUD = -30.0  # dBFS
CELL, LINE, MARGIN = 9.0, 21.0, 18.0  # of a character cell and around them all, in pixels
COLOURS = {"39": "#d4d4d4", "36": "#4ec9b0", "33": "#dcdcaa", "94": "#6cb6ff", "31": "#f47067", "35": "#d2a8ff",
           "32": "#7ee787", "95": "#f0a6ca"}  # fmt: skip
BACKGROUND, DIM = "#1e1e1e", "#8b8b8b"
BLOCKS = " ▏▎▍▌▋▊▉█"  # by eighths of a cell
PIECE = re.compile(rf"[{BLOCKS[1:]}]+|  +|(?:(?!  )[^{BLOCKS[1:]}])+")  # bars, gaps, words
SPAN = re.compile(r"\x1b\[([\d;]*)m(.*?)\x1b\[0m|([^\x1b]+)")


def moments(sounds: list[Path]) -> list[Picture]:
    """The live view after each window of the sounds, one after the other with pauses."""
    recognizer = Recognizer()
    rate = soundfile.info(sounds[0]).samplerate
    pause = np.zeros(int(PAUSE * rate), np.float32)
    signal = np.concatenate(
        [*chain.from_iterable((soundfile.read(path, dtype="float32")[0], pause) for path in sounds)]
    )
    labels, history, pictures = recognizer.metadata.labels, [], []
    for prediction in recognizer.stream(np.array_split(signal, len(signal) // int(CHUNK * rate)), rate):
        history.append(prediction.label)
        newest = signal[: int(prediction.end * rate)][-int(CHUNK * rate) :]
        level = 20 * math.log10(max(1e-6, float(np.abs(newest).max())))  # as `ser-edge` shows it
        pictures.append(Picture(labels, prediction, tuple(history), level, "USB microphone  48 kHz  lag 0.1 s"))
    return pictures


def draw(lines: list[str]) -> str:
    """The lines, with their ANSI styles, as an SVG."""
    width, height = 80 * CELL + 2 * MARGIN, (len(lines) + 1.5) * LINE + 2 * MARGIN
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        "<title>ser-edge --mic</title>",
        "<style>text { font: 15px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace }</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        _text("$ ser-edge --mic", 0, MARGIN + LINE / 2, DIM, False),
    ]
    for row, line in enumerate(lines):
        column, top = 0, MARGIN + (row + 1.5) * LINE
        for style, styled, plain in SPAN.findall(line):
            text, codes = styled or plain, style.split(";")
            colour = DIM if "2" in codes else next((COLOURS[code] for code in codes if code in COLOURS), COLOURS["39"])
            for piece in PIECE.findall(text):
                if piece[0] in BLOCKS[1:]:
                    length = CELL * sum(BLOCKS.index(block) for block in piece) / 8
                    x, y = MARGIN + column * CELL, top + LINE * 0.15
                    parts.append(
                        f'<rect x="{x:g}" y="{y:g}" width="{length:g}" height="{LINE * 0.7:g}" fill="{colour}"/>'
                    )
                elif piece.strip():
                    begin = column + len(piece) - len(piece.lstrip())
                    parts.append(_text(piece.strip(), begin, top + LINE / 2, colour, "1" in codes))
                column += len(piece)
    return "\n".join([*parts, "</svg>", ""])


def _bar(blocks: str, column: int, top: float, colour: str) -> str:
    width = CELL * sum(map(BLOCKS.index, blocks)) / 8
    x, y, height = MARGIN + column * CELL, top + 0.15 * LINE, 0.7 * LINE
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'


def _text(text: str, column: int, middle: float, colour: str, bold: bool) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{MARGIN + column * CELL:g}" y="{middle + 5:g}" textLength="{len(text) * CELL:g}" '
        f'fill="{colour}"{weight}>{escape(text)}</text>'
    )


def main(target: Path) -> None:
    """Draws a moment at which somebody speaks, the model is sure, and the history has many labels."""
    pictures = moments(sorted((ROOT / "tests/sounds").glob("*.wav")))
    spoken = [picture for picture in pictures if picture.level > LOUD and picture.history[-1] in picture.labels]
    best = max(spoken, key=lambda picture: (len(set(picture.history)), picture.prediction.confidence))
    target.write_text(draw(render(best, Look(80, colour=True, blocks=True))), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/live-view.svg")
