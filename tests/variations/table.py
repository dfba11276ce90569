"""The variations: what each changes, which tests are asked, and why one can't be made on this machine.

A processor's are asked of the tests that compute; a user's, a locale's and a terminal's of the commands; the orders of
all tests. Nothing here is done until a variation is run.
"""

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.variations.machine import FLAGS, numpy_features

__all__ = ["ROOT", "VARIATIONS", "Variation"]

Environment = Mapping[str, str | None]  # None takes a variable away

ROOT = Path(__file__).parents[2]
NUMBERS = ("tests/edge", "tests/parity", "tests/export")  # what a processor's instructions can change
NETWORKS = ("tests/parity", "tests/export", "tests/train")  # what TensorFlow computes
KERNELS = (  # what a model file's kernels can change, in the process of the tests
    "tests/edge/cli/test_doctor.py",
    "tests/edge/models/test_network.py",
    "tests/edge/recognition/test_recognizer.py",
    "tests/edge/recognition/test_streaming.py",
    "tests/edge/recognition/test_voice_detector.py",
    "tests/export/test_verification.py",
    "tests/parity/test_runtimes.py",
)
EMULATED = (  # 20 times as slow: no training, and no conversion
    *KERNELS[:5],
    "tests/edge/features/test_features.py",
    "tests/parity/test_integer_products.py",
)
PROGRAMS = (  # what users see
    *("tests/edge", "tests/export", "tests/fuzz", "tests/docs"),
    *("tests/train/cli/test_cli.py", "tests/train/cli/test_trainings.py"),
)
WHOLE = ()  # as `make test`
PYTHON = Path(sys.base_prefix).resolve()
NOBODY = 65_534  # the user and the group that own nothing


def _always() -> str:
    return ""


def _nothing(scratch: Path) -> Environment:
    return {}


@dataclass(frozen=True)
class Variation:
    """One way to run the tests."""

    meaning: str  # what it changes
    tests: tuple[str, ...]
    environment: Environment | Callable[[Path], Environment] = _nothing  # of a folder of its own
    options: tuple[str, ...] = ()  # of pytest
    command: Callable[[], tuple[str, ...]] = tuple  # what runs Python
    missing: Callable[[], str] = _always  # why it can't be made here, or ""
    before: Callable[[], object] = _always  # in the process that becomes pytest
    terminal: bool = False  # pytest's own streams are one
    company: int = 0  # programs beside it that do nothing, as fast as they can


def _needs(*flags: str) -> Callable[[], str]:
    absent = " ".join(flag for flag in flags if flag not in FLAGS)
    return lambda: f"this processor has no {absent}" if absent else ""


def _without_numpys(above: str | None, scratch: Path) -> Environment:
    return {"NPY_DISABLE_CPU_FEATURES": numpy_features(above)}


def _emulator() -> str | None:
    return shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")


def _no_emulator() -> str:
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux":
        return "needs Linux on x86-64"
    return "" if _emulator() else "no qemu-x86_64; apt install qemu-user-static"


def _no_glibc() -> str:
    return "" if platform.libc_ver()[0] == "glibc" and "sse2" in FLAGS else "needs glibc on x86-64"


def _no_setpriv() -> str:
    if not shutil.which("setpriv"):
        return "needs Linux, with setpriv"
    if os.geteuid() != 0:
        return "this user isn't root: plain is it"
    if closed := _closed(ROOT):
        return f"other users may not enter {closed}"
    return "other users may not enter Python's folder" if _closed(PYTHON) and not shutil.which("unshare") else ""


def _closed(path: Path) -> Path | None:
    """The first folder on the way there, from the root, that other users may not enter."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & stat.S_IXOTH), None)


def _as_nobody() -> tuple[str, ...]:
    """Where root's own Python runs this, other users see an open folder in place of root's, with Python in it."""
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    closed = _closed(PYTHON)
    if closed is None:
        return user
    show = 'mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 none "$2" && mkdir -p "$1" && mount --move /mnt "$1"'
    return ("unshare", "--mount", "sh", "-c", f'{show} && shift 2 && exec "$@"', "sh", str(PYTHON), str(closed), *user)


def _no_unshare() -> str:
    if not shutil.which("unshare"):
        return "needs Linux, with unshare"
    return "this user is root: plain is it" if os.geteuid() == 0 else ""


def _nobody(scratch: Path) -> Environment:
    os.chown(scratch, NOBODY, NOBODY)
    return {"HOME": str(scratch), "USER": "nobody", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}


def _read_only(scratch: Path) -> Environment:
    """Where nobody can write, root neither."""
    scratch.chmod(0o555)
    return {"HOME": "/proc/self" if os.geteuid() == 0 else str(scratch), "XDG_CACHE_HOME": None}


def _odd_folder(scratch: Path) -> Environment:
    (scratch / "a b ü").mkdir()
    return {"TMPDIR": str(scratch / "a b ü")}


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _no_affinity() -> str:
    return "" if hasattr(os, "sched_setaffinity") else "this system has no affinity to cores"


def _emulated(processor: str, meaning: str) -> Variation:
    return Variation(
        f"in qemu a {processor}: {meaning}, for XNNPACK and MLAS too; what tests start runs on this processor",
        EMULATED,
        command=lambda: (str(_emulator()), "-cpu", processor),
        missing=_no_emulator,
    )


def _kernels(name: str, meaning: str) -> Variation:
    return Variation(meaning, KERNELS, options=("-p", "tests.variations.kernels", f"--kernels={name}"))


def _blas(core: str, meaning: str, *flags: str) -> Variation:
    return Variation(f"OpenBLAS as on {meaning}", NUMBERS, {"OPENBLAS_CORETYPE": core}, missing=_needs(*flags))


_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-FMA,-FMA4"}
_ASCII = {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
_DUMB = {"TERM": "dumb", "COLUMNS": "20", "LINES": "5", "NO_COLOR": "1"}
_COLOURS = {"TERM": "xterm-256color", "FORCE_COLOR": "1", "NO_COLOR": None, "CI": None}

VARIATIONS: dict[str, Variation] = {
    "plain": Variation("nothing", NUMBERS),
    # Processors: what each library lets itself be asked.
    "haswell": _blas("Haswell", "AVX2", "avx2", "fma"),
    "skylakex": _blas("SkylakeX", "AVX-512", "avx512f"),
    "nehalem": _blas("Nehalem", "SSE4.2", "sse4_2"),
    "numpy-avx2": Variation(
        "NumPy without AVX-512", NUMBERS, partial(_without_numpys, "X86_V3 AVX2"), missing=_needs("avx512f")
    ),
    "numpy-baseline": Variation(
        "NumPy with what every processor has", NUMBERS, partial(_without_numpys, None), missing=_needs("avx2")
    ),
    "libm": Variation("the C library's exp, log, sin without FMA and AVX", NUMBERS, _LIBM, missing=_no_glibc),
    "onednn-avx2": Variation("TensorFlow's oneDNN on AVX2", NETWORKS, {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "onednn-off": Variation("TensorFlow without oneDNN", NETWORKS, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "xnnpack-off": _kernels("xnnpack-off", "LiteRT without XNNPACK, which has no switch for instructions"),
    "mlas-unfused": _kernels("mlas-unfused", "ONNX Runtime without fusions; MLAS has no switch for instructions"),
    "emulated-haswell": _emulated("Haswell", "AVX2 without AVX-512"),
    "emulated-nehalem": _emulated("Nehalem", "SSE4.2 without AVX"),
    "one-thread": Variation(
        "one core, one thread of each library",
        WHOLE,
        dict.fromkeys(_LIBRARIES, "1"),
        missing=_no_affinity,
        before=_one_core,
    ),
    # Users, and what is set for them.
    "non-root": Variation(
        "a user that owns nothing, and may not write here",
        WHOLE,
        _nobody,
        ("-p", "no:cacheprovider"),
        _as_nobody,
        _no_setpriv,
    ),
    "root": Variation(
        "root, in a namespace of its own",
        PROGRAMS,
        command=lambda: ("unshare", "--map-root-user"),
        missing=_no_unshare,
    ),
    "no-home": Variation("no HOME, and no folder for caches", PROGRAMS, {"HOME": None, "XDG_CACHE_HOME": None}),
    "read-only-home": Variation("a home where nothing can be written", PROGRAMS, _read_only),
    "umask": Variation("umask 077", PROGRAMS, before=partial(os.umask, 0o077)),
    "odd-folder": Variation("temporary files where a name has a space and an ü", PROGRAMS, _odd_folder),
    "locale-c": Variation("LC_ALL=C", PROGRAMS, {"LC_ALL": "C", "LANG": None}),
    "ascii": Variation("LC_ALL=C where Python believes it: names and text are ASCII", PROGRAMS, _ASCII),
    "time-zone": Variation("13 hours and three quarters before UTC", WHOLE, {"TZ": "VAR-13:45"}),
    "narrow": Variation("a dumb terminal of 20 columns", PROGRAMS, _DUMB),
    "colours": Variation("a terminal that wants colours, on all streams", PROGRAMS, _COLOURS, terminal=True),
    # Order, and company.
    "busy": Variation("a machine that is busy with other things", ("tests/edge",), company=2 * (os.cpu_count() or 1)),
    "random": Variation("a random order", WHOLE, options=("-p", "randomly")),
    "parallel": Variation("two tests at a time", WHOLE, options=("-n", "2")),
}
