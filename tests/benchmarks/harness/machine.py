"""What the figures were measured on: the processor, and the versions of everything that was compared."""

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Machine", "versions"]

_PACKAGES = (
    "ser-edge", "numpy", "scipy", "soxr", "soundfile", "ai-edge-litert", "onnxruntime", "librosa", "keras",
    "tensorflow", "tf2onnx", "pyfftw", "python_speech_features", "opensmile",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A machine, as a reader of the page wants to know it."""

    processor: str
    cores: int
    memory: int  # bytes
    system: str
    python: str

    @classmethod
    def this(cls) -> "Machine":
        """The one that this runs on."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cores = len(os.sched_getaffinity(0))
        return cls(_processor(), cores, memory, f"{platform.system()} {platform.machine()}", platform.python_version())

    def __str__(self) -> str:
        memory = f"{self.memory / 2**30:.0f} GiB"
        return f"{self.processor}, {self.cores} cores, {memory}, {self.system}, Python {self.python}"


def versions() -> str:
    """Of the packages that are compared; those that aren't installed are missing."""
    found = []
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    name = fields.get("model name") or fields.get("Model") or platform.machine()
    vectors = [
        shown for flag, shown in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in fields.get("flags", "").split()
    ]
    return f"{name} with {vectors[0]}" if vectors else name
