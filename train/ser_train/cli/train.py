"""The command `ser-train train`: every combination of network, protocol, fold and seed that was asked for."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ser_edge.models.bundled.names import ALIASES
from ser_train.cli.console import Commands, at_least

if TYPE_CHECKING:
    from distributed import Client

    from ser_train.data.utterance import Utterance

# Names from modules that a parser can't import without TensorFlow; a test compares them.
NETWORKS = (
    "rnn",
    "lstm",
    "gru",
    "crnn",
    "whisper-gru",
    "whisper-notebook-gru",
    "whisper-notebook-lstm",
)  # ser_train.networks.zoo.NETWORKS
PROTOCOLS = ("notebook", "utterance", "speaker", "inner", "all")  # ser_train.data.splits.PROTOCOLS
FOLDS = 5  # of the speaker protocol: ser_train.data.splits.SPEAKER_FOLDS

_MAX_SEED = 2**32 - 1  # that NumPy, and so Keras, takes

NOTEBOOK = ["rnn", "lstm", "gru"]

_EPILOG = """\
examples:
  ser-train train --data ravdess/                    the notebook's three networks, as the notebook trained them
  ser-train train                                    the same; downloads RAVDESS speech (209 MB) into the cache first
  ser-train train --arch gru --protocol speaker      five trainings, each tested on unseen speakers
  ser-train train --arch crnn --protocol speaker --data ravdess/ --data ravdess_song/ --data nemo/
                                                     the small network's training, with other corpora added
  ser-train train --data recordings/ --protocol speaker all
                                                     your own recordings and labels, by whisper-gru

A training that was stopped continues where it was; one that is finished is not repeated. Each leaves a directory
RUNS/<network>-<protocol>-..., with the network, its metrics and plots: what ser-export takes.

your own recordings, with any labels, alone:
  recordings/LABEL/SPEAKER/*.wav                     folders; or a table with the columns path,label,speaker (.csv,
  recordings.csv                                     .tsv, .txt): paths in it are relative to the file
  Five speakers or more: a network is tested on speakers it wasn't trained on. So train by two protocols, speaker (the
  default) for the accuracy, and all for the network to use. docs/own-data.md explains it step by step.

protocols:
  notebook    every file twice, the test set stops the training: shows what the notebook's 93.75 % is worth
  utterance   new sentences of known speakers
  speaker     five folds of unseen actors, or of your own speakers
  inner       for model selection: leaves out two folds, so that one validates and the other stays unseen
  all         trains on every actor: the network to ship; its own accuracy means nothing
"""


def add_parser(commands: Commands) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "train",
        help="train networks",
        description="Trains emotion networks on RAVDESS speech, or on your own recordings, by a protocol you name.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="PATH",
        action="append",
        help="RAVDESS: a folder or the public zip (default: download it once); repeat it for other corpora, which "
        "networks like crnn are trained on as well: RAVDESS song, nEMO, CREMA-D, TESS, SAVEE, EMO-DB. Or your own "
        "recordings: a folder, or a table (CSV)",
    )
    add("--mirror", metavar="URL", help="download the zip from here instead of Zenodo")
    add(
        "--arch",
        nargs="+",
        action="extend",
        choices=NETWORKS,
        help="networks (default: the notebook's; for your own data, whisper-gru)",
    )
    add(
        "--protocol",
        nargs="+",
        action="extend",
        choices=PROTOCOLS,
        help="default: notebook; for your own data, speaker",
    )
    add(
        "--init",
        default="",
        metavar="RUN|NAME",
        help="warm start from this network: a finished run (with * for the fold), or for crnn an .onnx file, or the "
        "bundled one, small; labels that it doesn't have are new",
    )
    add(
        "--encoder",
        default="",
        metavar="FILE",
        help="weights of Whisper tiny.en for whisper-gru: OpenAI's tiny.en.pt, or Hugging Face's model.safetensors "
        "(default: the three blocks that come with ser-train; a fourth, if --set classifiers asks for it, is "
        "downloaded, 76 MB, once)",
    )
    folds = ("all", *map(str, range(FOLDS)))
    add("--fold", default="all", choices=folds, metavar="K|all", help="a fold of the speaker protocol (default: all)")
    seed = at_least(0, _MAX_SEED)
    add("--seed", nargs="+", action="extend", type=seed, metavar="N", help="one training each (default: 0)")
    add("--epochs", type=at_least(1), metavar="N", help="at most this many (default: the network's own)")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="change the recipe, like mixup=0.2; names the run; of two values for a name the last counts",
    )
    add(
        "--teachers",
        nargs="+",
        action="extend",
        default=[],
        metavar="NETWORK|NAME",
        help="distil from finished runs in RUNS: a network's own of the same protocol and fold (seed 0), like "
        "whisper-gru, or runs by name with * for the fold, 'crnn-speaker-fold*-seed1'",
    )
    add("--jobs", type=at_least(1), default=1, metavar="N", help="parallel trainings, sharing the cores (default: 1)")
    add(
        "--cluster",
        metavar="ADDRESS",
        help="train on a Dask cluster, like tcp://host:8786, whose workers (dask worker --nthreads 1) see the same "
        "folders and have ser-edge[cluster,train]",
    )
    add("--out", type=Path, default=Path("runs"), metavar="RUNS", help="folder of runs (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains; prints a line for each run as it finishes. Returns the exit code."""
    if find_spec("tensorflow") is None:  # reported before the download
        raise ModuleNotFoundError(name="tensorflow")
    from ser_edge.recognition.batch.dask_backend import cluster_client
    from ser_train.data.custom.custom_corpus import is_custom
    from ser_train.data.download import locate
    from ser_train.networks.config import last_of_each, with_changes
    from ser_train.networks.zoo import NETWORKS

    custom = any(is_custom(locate(path)) for path in options.data or [])
    options.arch = options.arch or ([_network_of(options.init, options.fold)] if custom else NOTEBOOK)
    options.protocol = options.protocol or ["speaker" if custom else "notebook"]
    options.seed = options.seed or [0]
    options.set = last_of_each(options.set)
    for network in options.arch:
        with_changes(NETWORKS[network].recipe, options.set)  # raises on unknown settings
    with cluster_client(options.cluster) if options.cluster else nullcontext() as client:
        return _train(options, client)


def _network_of(init: str, fold: str) -> str:
    """The network for own recordings: the accurate one, or what a warm start starts from."""
    if not init:
        return "whisper-gru"
    from ser_train.networks.zoo import NETWORKS
    from ser_train.training.transfer.warm_start import find_warm_start

    metadata = find_warm_start(init, 0 if fold == "all" else int(fold)).metadata
    fitting = [name for name, network in NETWORKS.items() if network.features == metadata.features]
    return metadata.name if metadata.name in fitting else fitting[0] if fitting else "whisper-gru"


def _train(options: argparse.Namespace, client: "Client | None") -> int:
    from ser_train.cli.jobs import check_all, train_locally, train_on_cluster
    from ser_train.data.corpus_loader import read_corpora
    from ser_train.data.download import locate
    from ser_train.data.splits import PROTOCOLS
    from ser_train.reporting.tables import caution
    from ser_train.runs.settings import Settings

    options.init = ALIASES.get(options.init, options.init)  # which stays the same, in records
    folders = [locate(path, options.mirror) for path in options.data or [None]]
    if client is not None:  # its workers have working directories of their own
        folders, options.out = [folder.resolve() for folder in folders], options.out.resolve()
        if options.init and ("/" in options.init or Path(options.init).exists()):  # no bundled network's name
            options.init = str(Path(options.init).resolve())
        options.encoder = options.encoder and str(Path(options.encoder).resolve())
    utterances = read_corpora(folders)
    _describe(utterances)
    changes, teachers = tuple(options.set), tuple(options.teachers)
    trainings = [
        Settings(
            network, protocol, fold, seed, options.epochs, changes, teachers, init=options.init, encoder=options.encoder
        )
        for protocol, network, seed in product(*map(dict.fromkeys, (options.protocol, options.arch, options.seed)))
        for fold in range(PROTOCOLS[protocol].folds)
        if options.fold in ("all", str(fold)) or PROTOCOLS[protocol].folds == 1
    ]
    check_all(trainings, utterances, options.out)
    if client is None:
        finished = train_locally(trainings, utterances, options.out, options.jobs)
    else:
        finished = train_on_cluster(client, trainings, utterances, options.out, options.jobs)
    for trained in finished:
        wa, uar, f1 = (trained.read("run.json")["metrics"][name] for name in ("wa", "uar", "f1"))
        note = caution(trained.settings.protocol, len(set(trained.answers.of_test().actors.tolist())))
        suffix = f" ({note})" if note else ""
        print(f"{trained.path}: WA {wa:.1f} %, UAR {uar:.1f} %, macro-F1 {f1:.1f} %{suffix}", flush=True)
    return 0


def _describe(utterances: "Sequence[Utterance]") -> None:
    """Prints the size of the corpus, and how many recordings are in it more than once."""
    from ser_train.data.corpus_loader import duplicates, unique

    recordings, groups = unique(utterances), duplicates(utterances)
    counts = Counter(u.emotion for u in recordings if u.is_custom)
    size = f"{len(utterances)} files, {len(recordings)} recordings, {len({u.speaker for u in utterances})} speakers"
    labels = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    print(f"{size}; labels: {labels}" if labels else size, file=sys.stderr)
    if groups:
        example = f"like {groups[0][0].path} and {groups[0][1].path}; only the notebook protocol counts any twice"
        print(f"{len(groups)} recording{'s' * (len(groups) > 1)} more than once, {example}", file=sys.stderr)
