"""What can be typed after `ser-edge`, what it means, and what makes no sense together.

A command line is read before anything heavy is imported, so that `--help` is there at once. The tables and defaults of
other modules that it offers are therefore written out here; a test compares them.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge import __version__
from ser_edge.cli.argument_parser import ArgumentParser

if TYPE_CHECKING:
    from ser_edge.output.mqtt import Broker

__all__ = [
    "FORMATS",
    "HOP",
    "MODEL",
    "MODEL_SUFFIXES",
    "SAMPLE_FORMATS",
    "SPEECH",
    "STDIN",
    "UNITS",
    "format_of",
    "parser",
    "problem",
]

STDIN = "-"  # among the paths

FORMATS = ("text", "json", "csv", "srt")  # writers.WRITERS
_SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".srt": "srt"}  # of --output
MOST = 1024  # threads, jobs or channels
HOP, SPEECH = 0.5, 0.2  # windowing.HOP, windowing.SPEECH
MODEL, MODEL_SUFFIXES = "crnn", (".tflite", ".onnx")  # model.DEFAULT, runtimes.RUNTIMES
SAMPLE_FORMATS = ("u8", "s16", "s24", "s32", "f32", "f64")  # blocks.SAMPLE_FORMATS
UNITS = ("user", "system")  # unit.UNITS

_MODELS = Path(__file__).parents[1] / "models" / "bundled"

_EPILOG = """\
examples:
  ser-edge hello.wav                         one file, one answer
  ser-edge recordings/                       every sound below a folder, on all cores
  ser-edge --format json recordings/ > answers.jsonl
  ser-edge --cluster tcp://host:8786 recordings/   the same, on the machines of a Dask cluster
  ser-edge --timeline interview.mp3          an answer for every half second
  ser-edge --format srt film.wav > film.srt  subtitles for a video player
  ser-edge --mic                             what it hears now; Ctrl-C ends
  ser-edge --mic --device usb --format json  of a microphone with usb in its name, a line for each window
  ser-edge --list-devices                    the microphones that are there
  ffmpeg -i film.mkv -f wav - | ser-edge -   standard input, while it comes
  arecord -f S16_LE -r 16000 | ser-edge -
  nc -l 9000 | ser-edge - --rate 16000       samples without a header (see --sample-format, --channels)
  ser-edge --mic --mqtt mqtt://host/voice    to an MQTT broker as well, and into Home Assistant
  ser-edge --unit user                       the systemd unit of a service that keeps --mic running
  ser-edge --model mine.onnx hello.wav       a model made by ser-export
  ser-edge --model mine.onnx --describe      its labels, front-end, accuracy and provenance
  ser-edge --doctor                          what works here, and what to do about what doesn't

A file is taken to be one voice, and gets one answer. Streams (--mic, -), --timeline and srt get one for each window of
--window seconds, every --hop seconds. The answer for a file of more than a minute is the mean of its windows with
speech. Where nobody speaks the answer is `no-speech`: in silence, noise, tones and most music (--speech, --no-gate).
A DC offset is removed. Channels are mixed, or the strongest is taken where they cancel out (--channel takes one).

Answers go to standard output; messages, the model's measured accuracy and progress go to standard error.

exit codes:
  0  every sound was judged          3  no microphone that can be used
  1  some could not be; the others   4  the model, or the runtime it needs, can't be used
     were done
  2  the command line makes no sense

What the figures mean: a confidence is the model's own. How often it is right on voices it never heard is
printed after the answers in text (--describe tells it always), and it is far from always. The bundled model
learned from emotions that were acted, by 24 North-American and nine Polish speakers.
"""


def parser() -> ArgumentParser:
    """Reads the command line; what it gives has passed the checks of single options, not those of `problem`."""
    parser = ArgumentParser(
        prog="ser-edge",
        description="Hears which emotion a voice carries.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bundled = ", ".join(sorted(path.name for path in _MODELS.glob("*") if path.suffix in MODEL_SUFFIXES))
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="a sound file, a folder of them, or - for standard input")
    add("--model", default=MODEL, metavar="NAME|FILE", help=f"bundled: {bundled} (default: %(default)s)")
    add("--threads", type=_count, default=1, metavar="N", help="threads for one inference (default: 1)")
    add("--format", choices=FORMATS, help="how answers are printed (default: as FILE ends, else text)")
    add(
        "--output",
        metavar="FILE",
        help="where answers go (default: standard output); .json, .jsonl, .csv and .srt choose their format",
    )
    add(
        "--threshold",
        type=_share,
        metavar="P",
        help="confidence below which the answer is `uncertain`; 0 always names an emotion (default: the model's own)",
    )

    add(
        "--channel",
        type=_count,
        metavar="N",
        help="listen to this channel alone, from 1 on: one caller of a recorded call, one microphone of an array "
        "(default: all, mixed)",
    )

    many = parser.add_argument_group("many files")
    add = many.add_argument
    add("--jobs", type=_count, metavar="N", help="files judged at the same time (default: one a core)")
    add(
        "--cluster",
        metavar="ADDRESS",
        help="judge them on a Dask cluster, like tcp://host:8786, whose workers (dask worker) have ser-edge[cluster] "
        "and read the same files under the same paths",
    )

    windows = parser.add_argument_group("windows")
    add = windows.add_argument
    add("--timeline", action="store_true", help="an answer for each window of a file, not one for all of it")
    add("--window", type=_seconds, metavar="S", help="seconds in a window (default: as many as the model takes)")
    add("--hop", type=_seconds, default=HOP, metavar="S", help="seconds from window to window (default: %(default)s)")
    add(
        "--speech",
        type=_share,
        default=SPEECH,
        metavar="P",
        help="share of a window that must be speech, else it is `no-speech` (default: %(default)s); of a file, 0.4 s",
    )
    add("--no-gate", action="store_true", help="don't ask whether anybody speaks; classify everything")
    add("--duration", type=_seconds, metavar="S", help="stop after so many seconds of microphone or standard input")

    microphone = parser.add_argument_group("microphone")
    add = microphone.add_argument
    add("--mic", action="store_true", help="listen to a microphone")
    add("--device", metavar="N|NAME", help="its number, or part of its name (default: the system's)")
    add("--list-devices", action="store_true", help="list the microphones, and end")

    raw = parser.add_argument_group("standard input without a header")
    add = raw.add_argument
    add("--rate", type=_positive, metavar="HZ", help="samples a second; says that there is no header")
    add("--channels", type=_count, default=1, metavar="N", help="interleaved channels (default: 1)")
    add("--sample-format", choices=SAMPLE_FORMATS, default="s16", help="little-endian (default: %(default)s)")

    service = parser.add_argument_group("service")
    add = service.add_argument
    add(
        "--mqtt",
        type=_broker,
        metavar="URL",
        help="publish the answers as well, as JSON: mqtt://host/topic, or mqtts://host:8883/topic; user and password "
        "go into SER_EDGE_MQTT_USER and SER_EDGE_MQTT_PASSWORD, or before the host as user:password@",
    )
    add("--unit", choices=UNITS, help="print a systemd unit that keeps --mic running, and end")

    about = parser.add_argument_group("about")
    add = about.add_argument
    add("--describe", action="store_true", help="print what the model says of itself, as JSON, and end")
    add("--doctor", action="store_true", help="check what works on this machine, and end")
    add("--version", action="version", version=f"ser-edge {__version__}")
    return parser


def format_of(options: argparse.Namespace) -> str:
    """The format that is asked for: by --format, else by what --output ends in; text where neither says one."""
    suffix = Path(options.output or "").suffix.lower()
    return str(options.format or _SUFFIXES.get(suffix, "text"))


def problem(options: argparse.Namespace) -> str | None:
    """What makes no sense in the command line; None where all does."""
    from_stdin = STDIN in options.paths
    endless = options.mic or from_stdin
    rules = {
        "nothing to judge: give a sound file, a folder, - or --mic": (
            options.paths or options.mic or options.describe or options.doctor or options.list_devices or options.unit
        ),
        "a PATH is empty; was a variable not set?": "" not in options.paths,
        "--unit prints a unit and ends; its options go into SER_EDGE_OPTIONS, as it says": not (
            options.unit and (options.mic or options.paths or options.mqtt or options.device)
        ),
        "--mic listens to the microphone alone; leave the paths out": not (options.mic and options.paths),
        "--rate is about standard input; give - as well": options.rate is None or from_stdin,
        "--duration is about --mic and standard input; give one of them": options.duration is None or endless,
        "--cluster judges files; leave --mic and - out": options.cluster is None or not endless,
        "--jobs is about this machine; leave it out with --cluster": options.cluster is None or options.jobs is None,
    }
    return next((rule for rule, holds in rules.items() if not holds), None)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!a}") from e
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _broker(url: str) -> "Broker":
    from ser_edge.output.mqtt import Broker

    try:
        return Broker.of(url)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def _count(text: str) -> int:
    value = _positive(text)
    if value > MOST:
        raise argparse.ArgumentTypeError(f"must be {MOST} or less")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!a}") from e
