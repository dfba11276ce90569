"""Runs the page's modules in Node, with values from a test and back."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ser_edge

__all__ = ["PAGE", "needs_node", "run"]

PAGE = Path(ser_edge.__file__).parent / "service" / "web" / "page"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node isn't installed")

_READ = """
const values = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const floats = (list) => Float32Array.from(list);
const print = (value) => console.log(JSON.stringify(value, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v)));
"""


def run(script: str, **values: Any) -> Any:
    """What a script hands to `print`. It finds `values`; `load("audio/wav.js")` imports from PAGE."""
    load = f"const load = (name) => import({json.dumps(PAGE.as_uri())} + '/' + name);\n"
    done = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "--eval", load + _READ + script],
        input=json.dumps(values, default=lambda value: np.asarray(value).tolist()),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
