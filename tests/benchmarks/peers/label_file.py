"""One file through librosa and Keras, as a process: python -m peers.label_file NETWORK FILE."""

import sys

import keras

from peers.notebook import features

network = keras.models.load_model(sys.argv[1], compile=False)
print(network.predict(features(sys.argv[2])[None], verbose=0).argmax())
