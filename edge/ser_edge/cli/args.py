"""The options of `ser-edge`, and the rules by which they go together.

The command line is parsed before anything heavy is imported, so that `--help` is quick. The tables and defaults of
other modules that it offers are therefore repeated here; a test compares them.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ser_edge import __version__
from ser_edge.cli.argument_parser import ArgumentParser
from ser_edge.models.bundled.names import DEFAULT, FILES

if TYPE_CHECKING:
    from ser_edge.output.mqtt import Broker

STDIN = "-"  # among the paths
FORMATS = ("text", "json", "csv", "srt")  # writers.WRITERS
_SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".srt": "srt"}  # of --output
_MAX_COUNT = 1024  # threads, jobs or channels
HOP, SPEECH = 0.5, 0.2  # windows.HOP, windows.SPEECH
SAMPLE_FORMATS = ("u8", "s16", "s24", "s32", "f32", "f64")  # standard_input.SAMPLE_FORMATS
UNITS = ("user", "system")  # systemd_unit.UNITS
_KEPT = ("model", "threads", "threshold", "channel", "labels", "map", "window", "hop", "speech")  # by a unit
Number = TypeVar("Number", int, float)

_EPILOG = """\
examples:
  ser-edge hello.wav                         one prediction for one file
  ser-edge recordings/                       every audio file below a folder, on all cores
  ser-edge --format json recordings/ > predictions.jsonl
  ser-edge --cluster tcp://host:8786 recordings/   the same, on the machines of a Dask cluster
  ser-edge --timeline interview.mp3          a prediction every half second
  ser-edge --format srt film.wav > film.srt  subtitles for a video player
  ser-edge --mic                             a live view of the microphone; Ctrl-C ends it
  ser-edge --mic --device usb --format json  a microphone with usb in its name, a line for each window
  ser-edge --list-devices                    the available microphones
  ffmpeg -i film.mkv -f wav - | ser-edge -   standard input, as it arrives
  arecord -f S16_LE -r 16000 | ser-edge -
  nc -l 9000 | ser-edge - --rate 16000       samples without a header (see --sample-format, --channels)
  ser-edge --mic --mqtt mqtt://host/voice    published to an MQTT broker, and to Home Assistant
  ser-edge --unit user                       the systemd unit of a service that keeps --mic running
  ser-edge --labels happy,sad,angry,neutral --map calm=neutral hello.wav
                                             which of these four; calm counts as neutral
  ser-edge --model small hello.wav           the smaller and faster of the bundled models
  ser-edge --model mine.onnx hello.wav       a model exported by ser-export
  ser-edge --model mine.onnx --describe      its labels, front-end, accuracy and provenance
  ser-edge --doctor                          checks this installation, and says how to fix what fails

A file is taken to be one utterance, and gets one prediction. Streams (--mic, -), --timeline and srt get one for each
window of --window seconds, every --hop seconds. The prediction for a file of more than a minute is the mean of its
windows with speech. Audio without speech is `no-speech`: silence, noise, tones and most music (--speech, --no-gate).
A DC offset is removed. Channels are mixed, or the strongest is taken where they cancel out (--channel takes one).

--labels asks which of these an utterance is, given that it is one of them: their probabilities are divided by their
sum. So somebody who is afraid gets one of them too, and can get it with a high confidence; leave out what can't occur
where you use it, and map what you don't tell apart. --map comes first: labels are chosen under their new names.

Predictions go to standard output; messages, the model's measured accuracy and progress go to standard error.

models:
{models}

exit codes:
  0  everything was classified       3  no usable microphone
  1  some files could not be         4  the model, or the runtime it needs, can't be used
     classified; the others were
  2  wrong command line

About accuracy: a confidence is the model's own estimate. How often the model is right on speakers that it was not
trained on is printed after the predictions in text format, and by --describe; it is far from always. The bundled models
were trained on acted emotions of 24 North American and nine Polish speakers.
"""
_MODELS = "\n".join(f"  {alias:<10} {', '.join(files)}" for alias, files in FILES.items())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks a command line; exits with code 2 and one line on standard error if it is wrong."""
    command = parser()
    options = command.parse_args(arguments)
    options.format = options.format or _SUFFIXES.get(Path(options.output or "").suffix.lower(), "text")
    from_stdin = STDIN in options.paths
    streams = options.mic or from_stdin
    ends_at_once = options.describe or options.doctor or options.list_devices or options.unit
    if not (options.paths or options.mic or ends_at_once):
        command.error("nothing to classify: give an audio file, a folder, - or --mic")
    if "" in options.paths:
        command.error("a PATH is empty; is a variable not set?")
    if options.unit and (options.mic or options.paths or options.mqtt or options.device):
        command.error("--unit only prints a unit; these options go into SER_EDGE_OPTIONS, as the unit explains")
    if options.mic and options.paths:
        command.error("--mic and PATH exclude each other; leave one out")
    if options.rate is not None and not from_stdin:
        command.error("--rate is for standard input; add -")
    if options.duration is not None and not streams:
        command.error("--duration is for --mic and standard input; add one of them")
    if options.cluster is not None and streams:
        command.error("--cluster classifies files; leave --mic and - out")
    if repeated := next((label for label, n in Counter(label for label, _ in options.map).items() if n > 1), None):
        command.error(f"--map: {repeated} is mapped twice; map it once")
    if options.cluster is not None and options.jobs is not None:
        command.error("--jobs is for this machine; leave it out with --cluster")
    return options


def kept_options(options: argparse.Namespace) -> list[str]:
    """The arguments by which a service recognises as this command line says: those of its options that were given."""
    command, here = parser(), Path(options.model)
    texts = {
        "model": str(here.absolute()) if here.is_file() else options.model,  # a service has another working directory
        "labels": ",".join(options.labels or ()),
        "map": ",".join(map("=".join, options.map)),
    }
    given = [name for name in _KEPT if getattr(options, name) != command.get_default(name)]
    kept = [f"--{name}={texts.get(name, getattr(options, name))}" for name in given]
    return kept + ["--no-gate"] * options.no_gate


def parser() -> ArgumentParser:
    """The parser of the options, without the rules by which they go together."""
    parser = ArgumentParser(
        prog="ser-edge",
        description="Speech emotion recognition that runs on the device.",
        epilog=_EPILOG.format(models=_MODELS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="an audio file, a folder of them, or - for standard input")
    add("--model", default=DEFAULT, metavar="NAME|FILE", help=f"{' or '.join(FILES)}, or a file (default: %(default)s)")
    add("--threads", type=_count, default=1, metavar="N", help="threads for one inference (default: 1)")
    add("--format", choices=FORMATS, help="format of the predictions (default: by the suffix of FILE, else text)")
    add(
        "--output",
        metavar="FILE",
        help="where predictions go (default: standard output); .json, .jsonl, .csv and .srt set their format",
    )
    add(
        "--threshold",
        type=_ratio,
        metavar="P",
        help="confidence below which the label is `uncertain`; 0 always names an emotion (default: the model's own)",
    )
    add(
        "--channel",
        type=_count,
        metavar="N",
        help="use this channel only, counted from 1: one caller of a recorded call, one microphone of an array "
        "(default: all, mixed)",
    )

    add = parser.add_argument_group("labels").add_argument
    add(
        "--labels",
        type=_names,
        action="extend",
        metavar="NAME,...",
        help="answer with these alone, in this order (default: all of the model's, as --describe lists them); two or "
        "more; their probabilities sum to 1, and the threshold applies to them",
    )
    add(
        "--map",
        type=_pairs,
        action="extend",
        default=[],
        metavar="NAME=NAME,...",
        help="count one label as another, as in calm=neutral, or several under a new name, as in "
        "sad=negative,angry=negative; their probabilities are added",
    )

    add = parser.add_argument_group("many files").add_argument
    add("--jobs", type=_count, metavar="N", help="files classified at the same time (default: one per core)")
    add(
        "--cluster",
        metavar="ADDRESS",
        help="classify on a Dask cluster, like tcp://host:8786, whose workers (dask worker) have ser-edge[cluster] "
        "and read the same files under the same paths",
    )

    add = parser.add_argument_group("windows").add_argument
    add("--timeline", action="store_true", help="a prediction for each window of a file, not one for the whole file")
    add("--window", type=_seconds, metavar="S", help="seconds in a window (default: as many as the model takes)")
    add("--hop", type=_seconds, default=HOP, metavar="S", help="seconds from window to window (default: %(default)s)")
    add(
        "--speech",
        type=_ratio,
        default=SPEECH,
        metavar="P",
        help="ratio of a window that must be speech, else it is `no-speech` (default: %(default)s); of a file, 0.4 s",
    )
    add("--no-gate", action="store_true", help="skip voice activity detection; classify everything")
    add("--duration", type=_seconds, metavar="S", help="stop after so many seconds of microphone or standard input")

    add = parser.add_argument_group("microphone").add_argument
    add("--mic", action="store_true", help="classify a microphone's audio as it arrives")
    add("--device", metavar="N|NAME", help="its number, or part of its name (default: the system's)")
    add("--list-devices", action="store_true", help="list the microphones, and exit")

    add = parser.add_argument_group("standard input without a header").add_argument
    add("--rate", type=_positive, metavar="HZ", help="sample rate; declares that there is no header")
    add("--channels", type=_count, default=1, metavar="N", help="interleaved channels (default: 1)")
    add("--sample-format", choices=SAMPLE_FORMATS, default="s16", help="little-endian (default: %(default)s)")

    add = parser.add_argument_group("service").add_argument
    add(
        "--mqtt",
        type=_broker,
        metavar="URL",
        help="also publish predictions as JSON: mqtt://host/topic, or mqtts://host:8883/topic; user and password "
        "go into SER_EDGE_MQTT_USER and SER_EDGE_MQTT_PASSWORD, or before the host as user:password@",
    )
    add(
        "--unit",
        choices=UNITS,
        help="print a systemd unit that keeps --mic running, with the model, threshold, labels and windows given here, "
        "and exit",
    )

    add = parser.add_argument_group("about").add_argument
    add("--describe", action="store_true", help="print the model's metadata as JSON, and exit")
    add("--doctor", action="store_true", help="check this installation, and exit")
    add("--version", action="version", version=f"ser-edge {__version__}")
    return parser


def _positive(text: str) -> int:
    value = _number(text, int)
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
    if value > _MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be {_MAX_COUNT} or less")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"must be labels with commas between them, like happy,sad, not {text!a}")
    return names


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(name.strip() for name in pair.split("=")) for pair in text.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"must be pairs of labels, like calm=neutral,sad=negative, not {text!a}")
    return tuple((label, name) for label, name in pairs)


def _ratio(text: str) -> float:
    value = _number(text, float)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return value


def _seconds(text: str) -> float:
    value = _number(text, float)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _number(text: str, kind: type[Number]) -> Number:
    try:
        return kind(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"must be a {'whole ' * (kind is int)}number, not {text!a}") from e
