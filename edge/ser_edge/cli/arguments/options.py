"""The options of `ser-edge`. Tables and defaults of other modules are repeated, as in `types`."""

import argparse

from ser_edge import __version__
from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.cli.arguments.examples import EPILOG
from ser_edge.cli.arguments.types import (
    ADDRESS,
    FORMATS,
    address,
    broker,
    count,
    formats,
    host_name,
    interval,
    names,
    origin,
    pairs,
    positive,
    prefix,
    ratio,
    seconds,
    token,
)
from ser_edge.models.bundled.names import DEFAULT, FILES

HOP, SPEECH = 0.5, 0.2  # windows.HOP, windows.SPEECH
MQTT_EVERY = 10.0  # mqtt.EVERY
SAMPLE_FORMATS = ("u8", "s16", "s24", "s32", "f32", "f64")  # standard_input.SAMPLE_FORMATS
SHELLS = ("bash", "zsh", "fish", "tcsh")  # of shtab's
UNITS = ("user", "system")  # systemd_unit.UNITS


def parser() -> ArgumentParser:
    """The parser of the options, without the rules by which they go together."""
    parser = ArgumentParser(
        prog="ser-edge",
        description="Speech emotion recognition that runs on the device.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="an audio file, a folder of them, or - for standard input")
    model = f"{' or '.join(FILES)}, or a file (default: %(default)s)"
    add("-m", "--model", default=DEFAULT, metavar="NAME|FILE", help=model)
    add("--threads", type=count, default=1, metavar="N", help="threads for one inference (default: 1)")
    add(
        "--threshold",
        type=ratio,
        metavar="P",
        help="confidence below which the label is `uncertain`; 0 always names an emotion (default: the model's own)",
    )
    add(
        "--channel",
        type=count,
        metavar="N",
        help="use this channel only, counted from 1: one caller of a recorded call, one microphone of an array "
        "(default: all, mixed)",
    )

    add = parser.add_argument_group("output").add_argument
    add(
        "-f",
        "--format",
        dest="formats",
        type=formats,
        metavar="FORMAT,...",
        help=f"{', '.join(FORMATS)}; with --output-dir several (default: by the suffix of FILE; json with "
        "--output-dir; else text)",
    )
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="where predictions go (default: standard output); .json, .jsonl, .csv, .srt, .vtt and .labels.txt "
        "(Audacity) set their format",
    )
    add(
        "--output-dir",
        metavar="DIR",
        help="write a file for each input, as DIR/a.json for a.wav, in folders as those of the inputs; inputs whose "
        "files are there are skipped, so the same command goes on after an interruption",
    )
    add("--overwrite", action="store_true", help="with --output-dir: classify all inputs, and replace their files")
    add(
        "--merge",
        action="store_true",
        help="one prediction for neighbouring windows of the same label (see --timeline)",
    )
    add("-q", "--quiet", action="store_true", help="print no accuracy, summary or progress; errors and warnings remain")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="also print what is used, how long each file takes, and the codes of errors",
    )

    add = parser.add_argument_group("labels").add_argument
    add(
        "--labels",
        type=names,
        action="extend",
        metavar="NAME,...",
        help="answer with these alone, in this order (default: all of the model's, as --describe lists them); two or "
        "more; their probabilities sum to 1, and the threshold applies to them",
    )
    add(
        "--map",
        type=pairs,
        action="extend",
        default=[],
        metavar="NAME=NAME,...",
        help="count one label as another, as in calm=neutral, or several under a new name, as in "
        "sad=negative,angry=negative; their probabilities are added",
    )

    add = parser.add_argument_group("many files").add_argument
    add("--jobs", type=count, metavar="N", help="files classified at the same time (default: one per core)")
    add(
        "--cluster",
        metavar="ADDRESS",
        help="classify on a Dask cluster, like tcp://host:8786, whose workers (dask worker) have ser-edge[cluster] "
        "and read the same files under the same paths",
    )

    add = parser.add_argument_group("windows").add_argument
    add("--timeline", action="store_true", help="a prediction for each window of a file, not one for the whole file")
    add("--window", type=seconds, metavar="S", help="seconds in a window (default: as many as the model takes)")
    add("--hop", type=seconds, default=HOP, metavar="S", help="seconds from window to window (default: %(default)s)")
    add(
        "--speech",
        type=ratio,
        default=SPEECH,
        metavar="P",
        help="ratio of a window that must be speech, else it is `no-speech` (default: %(default)s); a file of up to a "
        "minute needs 0.4 s of clear speech instead",
    )
    add("--no-gate", action="store_true", help="skip voice activity detection; classify everything")
    add("--duration", type=seconds, metavar="S", help="stop after so many seconds of microphone or standard input")

    add = parser.add_argument_group("microphone").add_argument
    add("--mic", action="store_true", help="classify a microphone's audio as it arrives")
    add("--device", metavar="N|NAME", help="its number, or part of its name (default: the system's)")
    add("--list-devices", action="store_true", help="list the microphones, and exit")

    add = parser.add_argument_group("standard input without a header").add_argument
    add("--rate", type=positive, metavar="HZ", help="sample rate; declares that there is no header")
    add("--channels", type=count, default=1, metavar="N", help="interleaved channels (default: 1)")
    add("--sample-format", choices=SAMPLE_FORMATS, default="s16", help="little-endian (default: %(default)s)")

    add = parser.add_argument_group("server").add_argument
    add(
        "--serve",
        nargs="?",
        type=address,
        const=ADDRESS,
        metavar="HOST:PORT",
        help="serve predictions by HTTP, and those of --mic as well (default: 127.0.0.1:8765, for this machine alone)",
    )
    secret = "secret that clients must send; better in the environment, as SER_EDGE_TOKEN: `ps` shows options"
    add("--token", type=token, metavar="T", help=secret)
    add("--allow-anyone", action="store_true", help="at another address, serve whoever reaches it, without a token")
    name, site = "name of this server; may be given several times", "site that may ask; may be given several times"
    add("--allow-host", type=host_name, action="append", default=[], metavar="NAME", help=name)
    add("--allow-origin", type=origin, action="append", default=[], metavar="URL", help=site)
    add("--root-path", type=prefix, metavar="PATH", help="path below which a reverse proxy serves this")
    add("--max-upload", type=positive, metavar="MIB", help="size of an upload (default: 64)")
    add("--max-seconds", type=seconds, metavar="S", help="sound in an upload (default: 600)")

    add = parser.add_argument_group("service").add_argument
    add(
        "--mqtt",
        type=broker,
        metavar="URL",
        help="also publish predictions as JSON: mqtt://host/topic, or mqtts://host:8883/topic; without a topic it is "
        "ser-edge/ and this machine's name; user and password go into SER_EDGE_MQTT_USER and SER_EDGE_MQTT_PASSWORD, "
        "or before the host as user:password@",
    )
    add(
        "--mqtt-every",
        type=interval,
        metavar="S",
        help="seconds until a label that hasn't changed is published again; 0 publishes every window (default: "
        f"{MQTT_EVERY:g})",
    )
    add(
        "--unit",
        choices=UNITS,
        help="print a systemd unit that keeps --mic or --serve running, with the model, threshold, labels, windows and "
        "server given here, and exit",
    )

    add = parser.add_argument_group("about").add_argument
    add("--describe", action="store_true", help="print the model's metadata as JSON, and exit")
    add("--doctor", action="store_true", help="check this installation, and exit")
    add(
        "--print-completion",
        choices=SHELLS,
        help="print the script by which a shell completes options, files, and the model's labels, and exit",
    )
    add("--version", action="version", version=f"ser-edge {__version__}")
    return parser
