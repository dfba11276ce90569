"""What an installation takes on the disk: `pip install` into an empty environment, each separately.

Counted are the bytes of site-packages without pip and setuptools, compiled Python included. Downloads hundreds of MB,
from whatever index pip is configured for; so `bench.py` runs this case only with `--sizes`. The fresh environment of
ser-edge must classify a sound, or its size would mean nothing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.case import Settings, Table, main
from harness.timing import Figures

ROOT = Path(__file__).parents[3]
SOUND = ROOT / "tests" / "sounds" / "plain.wav"
TORCH = "torch==2.13.0+cpu"  # plain `torch` brings 5 GB of CUDA on Linux; found where pip is shown PyTorch's own index
BASE = "`pip install ser-edge`"
NOTEBOOK = "`pip install tensorflow librosa`, what the notebook needs"
INSTALLED: dict[str, Sequence[str]] = {
    BASE: [str(ROOT)],
    NOTEBOOK: ["tensorflow", "librosa"],
    "`pip install tensorflow`": ["tensorflow"],
    f"`pip install {TORCH}`, without CUDA": [TORCH],
}
BROUGHT_ALONG = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence.pth")


def measure(settings: Settings) -> list[Table]:
    """One table; the files of the corpus aren't used."""
    sides: dict[str, Figures | str] = {}
    notes = []
    for name, packages in INSTALLED.items():
        try:
            size, versions = _installed(packages)
        except subprocess.CalledProcessError as e:
            sides[name] = f"can't be installed here: {(e.stderr.strip().splitlines() or ['pip said nothing'])[-1]}"
        else:
            sides[name] = {"size": float(size)}
            notes.append(f"{name}: {versions}.")
    return [Table("installed", "On the disk, in an empty environment", NOTEBOOK, "size", sides, notes)]


def _installed(packages: Sequence[str]) -> tuple[int, str]:
    """Bytes, and the versions of what was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        _quietly(sys.executable, "-m", "venv", folder)
        python = Path(folder) / "bin" / "python"
        constraints = ROOT / "constraints.txt"
        _quietly(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-c", constraints, *packages)
        if str(ROOT) in packages:
            _quietly(python.with_name("ser-edge"), SOUND)
        names = ["ser-edge" if package == str(ROOT) else package.split("==")[0] for package in packages]
        frozen = dict(_versions(_quietly(python, "-m", "pip", "list", "--format=freeze")))
        site = next(Path(folder, "lib").glob("python*/site-packages"))
        return sum(_sizes(site)), ", ".join(f"{name} {frozen[name]}" for name in names)


def _sizes(site: Path) -> Iterator[int]:
    for top in site.iterdir():
        if top.name.split("-")[0] in BROUGHT_ALONG or top.name in BROUGHT_ALONG:
            continue
        yield from (path.lstat().st_size for path in (top.rglob("*") if top.is_dir() else [top]) if not path.is_dir())


def _versions(frozen: str) -> Iterator[tuple[str, str]]:
    for line in frozen.splitlines():
        name, _, version = line.partition("==")
        yield name, version


def _quietly(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(measure)
