"""The command `ser-edge`: files and folders in, a line for each out."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TextIO

from ser_edge import __version__
from ser_edge.blocks import SAMPLE_FORMATS, RawFormat
from ser_edge.description import ModelDescription
from ser_edge.errors import SerEdgeError
from ser_edge.judging import STDIN, Listening, judge_files, judge_microphone, sounds
from ser_edge.model import BUNDLED, DEFAULT
from ser_edge.progress import say
from ser_edge.recognizer import Recognizer
from ser_edge.runtimes import RUNTIMES
from ser_edge.stream import HOP, SPEECH, Windowing
from ser_edge.writers import WRITERS

__all__ = ["main"]

EPILOG = """\
examples:
  ser-edge hello.wav                         one file, one answer
  ser-edge recordings/                       every sound below a folder
  ser-edge --format json recordings/ > answers.jsonl
  ser-edge --timeline interview.mp3          an answer for every half second
  ser-edge --format srt film.wav > film.srt  subtitles for a video player
  ser-edge --mic                             what it hears now; Ctrl-C ends
  ser-edge --mic --device usb --format json  of a microphone with usb in its name, a line for each window
  ser-edge --list-devices                    the microphones that are there
  ffmpeg -i film.mkv -f wav - | ser-edge -   standard input, while it comes
  arecord -f S16_LE -r 16000 | ser-edge -
  nc -l 9000 | ser-edge - --rate 16000       samples without a header (see --sample-format, --channels)
  ser-edge --model mine.onnx hello.wav       a model made by ser-export
  ser-edge --model mine.onnx --describe      its labels, front-end, accuracy and provenance
  ser-edge --doctor                          what works here, and what to do about what doesn't

A file is taken to be one voice, and gets one answer. What has no end (--mic, -), --timeline and srt get an answer for
each window of --window seconds, every --hop seconds; where nobody speaks it is `no-speech`. So do the parts of a file
of more than a minute, whose answer is the mean of those with speech.

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if problem := _problem(options):
        parser.error(problem)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path can hold what a terminal's encoding can't
    try:
        return _run(options, parser)
    except SerEdgeError as error:
        print(f"ser-edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ser-edge: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:  # of the answers' way out: inputs that can't be read are AudioErrors
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
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="a sound file, a folder of them, or - for standard input")
    add("--model", default=DEFAULT, metavar="NAME|FILE", help=f"bundled: {bundled} (default: %(default)s)")
    add("--threads", type=_positive, default=1, metavar="N", help="threads for one inference (default: 1)")
    add("--format", choices=WRITERS, default="text", help="how answers are printed (default: %(default)s)")
    add("--output", metavar="FILE", help="where answers go (default: standard output)")
    add(
        "--threshold",
        type=_share,
        metavar="P",
        help="confidence below which the answer is `uncertain`; 0 always names an emotion (default: the model's own)",
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
        help="share of a window that must be speech, else it is `no-speech` (default: %(default)s)",
    )
    add("--no-gate", action="store_true", help="don't ask whether anybody speaks; judge every window")
    add("--duration", type=_seconds, metavar="S", help="stop after so many seconds of microphone or standard input")

    microphone = parser.add_argument_group("microphone")
    add = microphone.add_argument
    add("--mic", action="store_true", help="listen to a microphone")
    add("--device", metavar="N|NAME", help="its number, or part of its name (default: the system's)")
    add("--list-devices", action="store_true", help="list the microphones, and end")

    raw = parser.add_argument_group("standard input without a header")
    add = raw.add_argument
    add("--rate", type=_positive, metavar="HZ", help="samples a second; says that there is no header")
    add("--channels", type=_positive, default=1, metavar="N", help="interleaved channels (default: 1)")
    add("--sample-format", choices=SAMPLE_FORMATS, default="s16", help="little-endian (default: %(default)s)")

    about = parser.add_argument_group("about")
    add = about.add_argument
    add("--describe", action="store_true", help="print what the model says of itself, as JSON, and end")
    add("--doctor", action="store_true", help="check what works on this machine, and end")
    add("--version", action="version", version=f"ser-edge {__version__}")
    return parser


def _problem(options: argparse.Namespace) -> str | None:
    """What makes no sense in the command line."""
    from_stdin = STDIN in options.paths
    endless = options.mic or from_stdin
    rules = {
        "nothing to judge: give a sound file, a folder, - or --mic": (
            options.paths or options.mic or options.describe or options.doctor or options.list_devices
        ),
        "--mic listens to the microphone alone; leave the paths out": not (options.mic and options.paths),
        "--rate is about standard input; give - as well": options.rate is None or from_stdin,
        "--duration is about --mic and standard input; give one of them": options.duration is None or endless,
    }
    return next((rule for rule, holds in rules.items() if not holds), None)


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    device = int(options.device) if options.device and options.device.isdigit() else options.device
    if options.list_devices:
        from ser_edge.devices import choose, devices

        found = devices() or [choose()]  # which says why there is none
        print(*found, sep="\n")
        return 0
    if options.doctor:
        from ser_edge.doctor import examine

        return examine(sys.stdout, device)
    paths = list(sounds(options.paths))
    if options.format == "srt" and len(paths) > 1:
        parser.error("subtitles are of one recording; give one file")
    try:
        windowing = Windowing(options.window, options.hop, None if options.no_gate else options.speech)
        recognizer = Recognizer(options.model, options.threads, options.threshold, windowing)
    except ValueError as e:
        parser.error(str(e))
    if options.describe:
        print(recognizer.description.to_json())
        return 0
    in_windows = options.mic or options.timeline or options.format == "srt" or STDIN in options.paths
    make_writer = WRITERS[options.format]
    with (
        _output(options.output, parser) as out,
        closing(make_writer(out, recognizer.description, in_windows)) as writer,
    ):
        view = None
        if options.format == "text" and not options.output and (options.mic or STDIN in options.paths):
            from ser_edge.live_view import LiveView, can_paint

            if can_paint(out):
                view = LiveView(out, recognizer.description)
        raw = RawFormat(options.rate, options.channels, options.sample_format) if options.rate else None
        listening = Listening(view, options.duration, raw)
        judged, failed = 1, 0
        if options.mic:
            from ser_edge.portaudio import stderr_apart

            with stderr_apart():
                judge_microphone(recognizer, device, writer.write, listening)
        else:
            timeline = options.timeline or options.format == "srt"
            judged, failed = judge_files(recognizer, paths, writer.write, listening, timeline)
    if options.format == "text" and judged:
        say(_honesty(recognizer.description))
    if failed and judged:
        say(f"ser-edge: {judged} judged, {failed} failed")
    return 1 if failed else 0


def _output(path: str | None, parser: argparse.ArgumentParser) -> AbstractContextManager[TextIO]:
    """The file that answers go to, or standard output."""
    if path is None:
        return nullcontext(sys.stdout)
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as e:
        parser.error(f"--output {path}: {e.strerror}")


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


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value
