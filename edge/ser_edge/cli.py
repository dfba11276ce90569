"""The command `ser-edge`: files and folders in, a line for each out."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ser_edge import __version__
from ser_edge.audio import AUDIO_SUFFIXES
from ser_edge.description import ModelDescription
from ser_edge.errors import AudioError, SerEdgeError
from ser_edge.model import BUNDLED, DEFAULT
from ser_edge.recognizer import Prediction, Recognizer
from ser_edge.runtimes import RUNTIMES
from ser_edge.writers import WRITERS

__all__ = ["main"]

STDIN = "-"

EPILOG = """\
examples:
  ser-edge hello.wav                         one file
  ser-edge recordings/                       every sound below a folder
  ser-edge --format json recordings/ > answers.jsonl
  sox in.mp3 -t wav - | ser-edge -           standard input: a whole WAV, FLAC, OGG, ... file
  ser-edge --model mine.onnx hello.wav       a model made by ser-export
  ser-edge --model mine.onnx --describe      its labels, front-end, accuracy and provenance
  ser-edge --model gru.tflite hello.wav      the bundled model in LiteRT (pip install 'ser-edge[litert]')

Answers go to standard output; messages, the model's measured accuracy and progress go to standard error.

exit codes:
  0  every sound was judged          2  the command line makes no sense
  1  some could not be; the others   4  the model, or the runtime it needs, can't be used
     were done

What the figures mean: a confidence is the model's own. How often it is right on voices it never heard is
printed after the answers in text (--describe tells it always), and it is far from always. Acted emotions of
24 North-American speakers taught it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.paths and not options.describe:
        parser.error("nothing to judge: give a sound file, a folder, or -")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can hold what a terminal's encoding can't
    try:
        return _run(options)
    except SerEdgeError as error:
        print(f"ser-edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ser-edge: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:  # of standard output: inputs that can't be read are AudioErrors
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at exit
        if isinstance(error, BrokenPipeError):  # `| head -1` has what it wanted
            return 0
        print(f"ser-edge: can't write the answers: {error.strerror}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ser-edge",
        description="Hears which emotion a voice carries.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bundled = ", ".join(sorted(path.name for path in BUNDLED.glob("*") if path.suffix in RUNTIMES))
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="a sound file, a folder of them, or - for standard input"
    )
    parser.add_argument(
        "--model", default=DEFAULT, metavar="NAME|FILE", help=f"bundled: {bundled} (default: %(default)s)"
    )
    parser.add_argument(
        "--format", choices=WRITERS, default="text", help="how answers are printed (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=_positive, default=1, metavar="N", help="threads for one inference (default: 1)"
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        metavar="P",
        help="confidence below which the answer is `uncertain`; 0 always names an emotion (default: the model's own)",
    )
    parser.add_argument("--describe", action="store_true", help="print what the model says of itself, as JSON, and end")
    parser.add_argument("--version", action="version", version=f"ser-edge {__version__}")
    return parser


def _run(options: argparse.Namespace) -> int:
    recognizer = Recognizer(options.model, options.threads, options.threshold)
    if options.describe:
        print(recognizer.description.to_json())
        return 0
    writer = WRITERS[options.format](sys.stdout, recognizer.description)
    judged = failed = 0
    for path in _progress(list(_sounds(options.paths))):
        try:
            writer.write(_judge(recognizer, path))
            judged += 1
        except AudioError as error:
            _say(f"ser-edge: {error}")
            failed += 1
    if options.format == "text" and judged:
        _say(_honesty(recognizer.description))
    if failed and judged:
        _say(f"ser-edge: {judged} judged, {failed} failed")
    return 1 if failed else 0


def _judge(recognizer: Recognizer, path: str) -> Prediction:
    if path != STDIN:
        return recognizer.predict(path)
    if sys.stdin is None:
        raise AudioError("-: standard input is closed")
    prediction = recognizer.predict(sys.stdin.buffer)
    return Prediction(**{**prediction.__dict__, "path": STDIN})


def _sounds(paths: Sequence[str]) -> Iterator[str]:
    """Files as given, folders as the sounds below them in order; what isn't there fails when it is read."""
    for given in paths:
        try:
            is_folder = Path(given).is_dir()
        except OSError:  # too long to be a name; reading it says so
            is_folder = False
        if not is_folder:
            yield given
            continue
        found = sorted(p for p in Path(given).rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        yield from map(str, found) if found else [given]


def _progress(paths: list[str]) -> Iterator[str]:
    """A bar where it helps: many files, and the answers don't appear on the same terminal."""
    if len(paths) > 1 and sys.stderr.isatty() and not sys.stdout.isatty():
        from tqdm import tqdm

        yield from tqdm(paths, unit=" files", file=sys.stderr)
    else:
        yield from paths


def _say(line: str) -> None:
    """A line on standard error that doesn't tear the progress bar."""
    tqdm = sys.modules.get("tqdm")
    if tqdm:
        tqdm.tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def _honesty(description: ModelDescription) -> str:
    """What the model's answers are worth, in a line."""
    accuracy, chance = description.accuracy, 1 / len(description.labels)
    if accuracy is None:
        return f"model {description.name}: its accuracy was never measured"
    folds = f"{accuracy.folds} fold{'s' * (accuracy.folds > 1)}"
    heard = "voices it never heard" if accuracy.protocol == "speaker" else "VOICES IT KNOWS"
    return (
        f"model {description.name}: right {accuracy.wa:.1f} % of the time on {heard} "
        f"(protocol {accuracy.protocol}, {folds}, UAR {accuracy.uar:.1f}; chance {chance:.1%})"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return value
