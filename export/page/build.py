"""`make page`: builds the page that needs no server of its own, static files for any web host.

    .venv/bin/python export/page/build.py dist/page
    .venv/bin/python -m http.server --directory dist/page

It is the page that `ser-edge --serve` shows, with the networks and ONNX Runtime for WebAssembly beside it. That comes
from npm, in the version of `package.json`; only files with the hashes below are used.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import ser_edge
from ser_edge import Recognizer
from ser_edge.cli.app import accuracy_notice
from ser_edge.models.bundled.names import ALIASES, BUNDLED, DEFAULT
from ser_edge.recognition.voice_activity.voice_detector import VAD_FILES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = Path(ser_edge.__file__).parent / "service" / "web" / "page"
RUNTIME = "node_modules/onnxruntime-web/dist"
RUNTIME_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_ENGINE = '<meta name="engine" content="{}">'  # in index.html
_FOOTER = "  </footer>"  # there


class BuildError(Exception):
    """The page can't be built; the message says what to do."""


@dataclass(frozen=True)
class Weight:
    """What a web host gets; a visitor downloads all but the licences, once."""

    files: int
    bytes: int


def build(target: Path, model: str = DEFAULT, npm: Path | None = None) -> Weight:
    """Writes the page into a folder, in place of an earlier one.

    Args:
        target: the folder.
        model: a bundled model's name, or an .onnx file made by ser-export.
        npm: a folder where package.json's packages are installed, or will be; by default one in `build`.

    Raises:
        BuildError: npm is missing or failed, what it installed isn't what was tested, the page can't run the model, or
            the folder holds other files.
    """
    if target.exists() and not target.is_dir():
        raise BuildError(f"{target}: a file; give a folder")
    if target.exists() and any(target.iterdir()) and not (target / "service_worker.js").is_file():
        raise BuildError(f"{target}: holds something else than this page; give another folder")
    runtime = installed(npm or ROOT / "build" / "page", HERE / "package.json") / RUNTIME
    unfinished = target.with_name(f".unfinished-{target.name}")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a build that was killed
        shutil.copytree(PAGE, unfinished)
        _copy_runtime(runtime, unfinished / "vendor")
        network = _copy_model(model, unfinished / "models")
        licences = _copy_licences(network, unfinished / "licences")
        _write_index(unfinished / "index.html", licences)
        _write_service_worker(unfinished)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    files = [path for path in target.rglob("*") if path.is_file()]
    return Weight(len(files), sum(path.stat().st_size for path in files))


def installed(folder: Path, package: Path) -> Path:
    """The folder, with the packages that a package.json names in it; raises BuildError."""
    if _holds(folder, package):
        return folder
    if (npm := shutil.which("npm")) is None:
        raise BuildError("npm isn't installed; on Debian: sudo apt install npm")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        shutil.copy(package, unfinished / "package.json")
        quiet = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        run = subprocess.run([npm, "install", *quiet], cwd=unfinished, capture_output=True, text=True, check=False)
        if run.returncode:
            raise BuildError(f"npm can't install what {package} names: {run.stderr.strip()}")
        if not _holds(folder, package):  # else another process has been faster
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _holds(folder: Path, package: Path) -> bool:
    installed = folder / "package.json"
    return installed.is_file() and installed.read_bytes() == package.read_bytes()


def _copy_runtime(source: Path, target: Path) -> None:
    target.mkdir()
    for name, expected in RUNTIME_FILES.items():
        content = (source / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise BuildError(f"{name}: not the file that was tested; remove build/page and try again")
        (target / name).write_bytes(content)


def _copy_model(model: str, target: Path) -> Path:
    """The networks, and model.json: what the engine says of them; returns the model's file."""
    target.mkdir()
    recognizer = Recognizer(f"{model}.onnx" if model in ALIASES else model)
    metadata, detector = recognizer.metadata, VAD_FILES[".onnx"]
    if recognizer.path.suffix != ".onnx":
        raise BuildError(f"{recognizer.path.name}: browsers run ONNX; give an .onnx file")
    if metadata.features.n_mfcc is not None or metadata.features.trim_db is None:
        raise BuildError(f"{recognizer.path.name}: the page computes trimmed log-mel features only; give another model")
    for path in (recognizer.path, detector):
        shutil.copy(path, target / path.name)
    description = {
        "ser_edge": ser_edge.__version__,
        "model": json.loads(metadata.to_json()),
        "notice": accuracy_notice(metadata),
        "files": {"model": recognizer.path.name, "detector": detector.name},
    }
    (target / "model.json").write_text(json.dumps(description, indent=1), "utf-8")
    return recognizer.path


def _copy_licences(network: Path, target: Path) -> dict[str, str]:
    """The licences of what the page contains; returns their files, by what they are for."""
    onnxruntime = Path(str(distribution("onnxruntime").locate_file("onnxruntime")))
    sources = {
        "ser-edge": ("ser-edge", ROOT / "LICENSE"),
        "the network": ("models", BUNDLED / "MODEL_CARD.md"),
        "Silero VAD": ("silero_vad", VAD_FILES[".onnx"].with_suffix(".LICENSE")),
        "Whisper": (
            "whisper",
            ROOT / "train" / "ser_train" / "networks" / "whisper_weights" / "tiny_en_3_blocks.LICENSE",
        ),
        "ONNX Runtime": ("onnxruntime", onnxruntime / "LICENSE"),
        "its third-party notices": ("onnxruntime_third_party", onnxruntime / "ThirdPartyNotices.txt"),
    }
    if network.parent != BUNDLED:  # the licence of other models is their makers' to state
        del sources["the network"]
    target.mkdir()
    for name, source in sources.values():  # the mark tells browsers the encoding, where web hosts don't
        (target / f"{name}.txt").write_text(source.read_text("utf-8"), "utf-8-sig")
    return {title: f"{target.name}/{name}.txt" for title, (name, _) in sources.items()}


def _write_index(index: Path, licences: dict[str, str]) -> None:
    """Has the page run the networks itself, and link to the licences of what it contains."""
    links = ", ".join(f'<a href="{path}">{title}</a>' for title, path in licences.items())
    filled = {
        _ENGINE.format("server"): _ENGINE.format("browser"),
        _FOOTER: f"    <p>Licences: {links}</p>\n{_FOOTER}",
    }
    html = index.read_text("utf-8")
    for blank, text in filled.items():
        if blank not in html:
            raise BuildError(f"index.html: {blank.strip()} isn't in it")
        html = html.replace(blank, text)
    index.write_text(html, "utf-8")


def _write_service_worker(target: Path) -> None:
    """The service worker, with the hash of every file that the page needs; licences are read by few."""
    needed = sorted(path for path in target.rglob("*") if path.is_file() and "licences" not in path.parts)
    hashes = {path.relative_to(target).as_posix(): _integrity(path) for path in needed}
    version = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16]
    text = (HERE / "service_worker.js").read_text("utf-8")
    for blank, filled in (("FILES = {}", f"FILES = {json.dumps(hashes, indent=2)}"), ('"version"', f'"{version}"')):
        if blank not in text:
            raise BuildError(f"service_worker.js: {blank} isn't in it")
        text = text.replace(blank, filled)
    (target / "service_worker.js").write_text(text, "utf-8")


def _integrity(path: Path) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()}"


def main() -> None:
    """Builds it, and prints how large it is."""
    parser = argparse.ArgumentParser(description="Builds the page that runs in the visitor's browser alone.")
    parser.add_argument("target", type=Path, help="the folder")
    parser.add_argument("--model", default=DEFAULT, help=f"{', '.join(ALIASES)} or an .onnx file (default: {DEFAULT})")
    options = parser.parse_args()
    try:
        weight = build(options.target, options.model)
    except (BuildError, ser_edge.SerEdgeError) as error:
        sys.exit(f"make page: {error}")
    print(f"{options.target}: {weight.files} files, {weight.bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
