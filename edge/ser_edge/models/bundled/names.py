"""What the bundled models are called. Imports nothing heavy, for `ser-edge --help` lists them.

A model is asked for by an alias, or by the name of its network, which its files have and which stays the same if
another network becomes the accurate one. Either can have a suffix: `accurate.onnx` is `whisper-gru.onnx`.
"""

from pathlib import Path

BUNDLED = Path(__file__).parent
WAVEFORM = BUNDLED / "waveform" / "crnn.wave.onnx"  # the small model with its front-end, for programs without ser-edge
ALIASES = {"accurate": "whisper-gru", "small": "crnn"}  # to the network's name; the most accurate first
DEFAULT = "accurate"
FILES = {alias: sorted(path.name for path in BUNDLED.glob(f"{network}.*")) for alias, network in ALIASES.items()}
