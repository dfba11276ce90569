"""A folder through librosa and Keras, as a process: python -m peers.label_folder NETWORK FOLDER.

One file after the other, then one `predict` for all: what the notebook does with its corpus. Prints the seconds without
the process's start.
"""

import sys
import time
from pathlib import Path

import keras
import numpy as np
from harness.case import SOUND_SUFFIXES

from peers.notebook import features

network = keras.models.load_model(sys.argv[1], compile=False)
paths = sorted(path for path in Path(sys.argv[2]).rglob("*") if path.suffix in SOUND_SUFFIXES)
network.predict(features(paths[0])[None], verbose=0)  # what is loaded and compiled at the first call isn't counted
started = time.perf_counter()
network.predict(np.stack([features(path) for path in paths]), verbose=0).argmax(axis=1)
print(time.perf_counter() - started)
