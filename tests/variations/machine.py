"""What this machine can do: its processor, and what a variation needs of it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["FLAGS", "numpy_features", "processor"]

_SHOWN = ("avx", "avx2", "avx512f", "avx512_vnni", "asimd")  # what kernels are chosen by


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


FLAGS = frozenset((_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split())


def processor() -> str:
    """Its name, its instructions that kernels are chosen by, and the cores that this process may use."""
    name = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name} ({' '.join(flag for flag in _SHOWN if flag in FLAGS) or 'flags unknown'}; {cores} cores)"


def numpy_features(above: str | None = None) -> str:
    """What NumPy has code of its own for and finds here, as NPY_DISABLE_CPU_FEATURES takes it.

    Any other name, or one that every processor must have, is a warning, and so an error in the tests.

    Args:
        above: only what is newer than this; NumPy lists the older first.
    """
    asked = (
        "import numpy as np\n"
        "core = np._core if hasattr(np, '_core') else np.core\n"
        "module = core._multiarray_umath\n"
        "print(*[name for name in module.__cpu_dispatch__ if module.__cpu_features__[name]])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, encoding="utf-8", check=True)
    names = done.stdout.split()
    newer = [place for place, name in enumerate(names) if above is not None and name in above.split()]
    return " ".join(names[max(newer) + 1 :] if newer else names)
