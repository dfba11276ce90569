"""Predictions, and the pictures that the live view makes of them, for tests."""

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.live_view import Picture
from ser_edge.recognition.prediction import NO_SPEECH, Prediction

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
METADATA = ModelMetadata("ravdess", LABELS, FeatureConfig())
RATIOS = (0.05, 0.08, 0.7, 0.03, 0.1, 0.0, 0.004, 0.036)
STATUS = "USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s"
PAST = ("no-speech", "no-speech", "sad", "surprised", "uncertain", "happy", "happy")


def answer(label: str = "happy", end: float = 83.5) -> Prediction:
    if label == NO_SPEECH:
        return Prediction(None, end - 3, end, label, 0.0, dict.fromkeys(LABELS, 0.0), 0.1)
    return Prediction(None, end - 3, end, label, max(RATIOS), dict(zip(LABELS, RATIOS, strict=True)), 1.0)


HAPPY = Picture(LABELS, answer(), PAST, -30.0, STATUS)
SIXTY = """\
  happy  70 %                                         01:23

n neutral       5 %  █▉
c calm          8 %  ███
h happy        70 %  ██████████████████████████▋
s sad           3 %  █▏
a angry        10 %  ███▊
f fearful       0 %
d disgust       0 %
u surprised     4 %  █▌

  level      -30 dB  ███████████████████
● speech      100 %  ██████████████████████████████████████
  history            ··su?hh
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
HUNDRED_AND_TWENTY = """\
  happy  70 %                                                              01:23

n neutral       5 %  ███
c calm          8 %  ████▊
h happy        70 %  █████████████████████████████████████████▎
s sad           3 %  █▊
a angry        10 %  █████▉
f fearful       0 %
d disgust       0 %
u surprised     4 %  ██▍

  level      -30 dB  █████████████████████████████▌
● speech      100 %  ███████████████████████████████████████████████████████████
  history            ··su?hh
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
ASCII = """\
  happy  70 %                                         01:23

n neutral       5 %  ##
c calm          8 %  ###
h happy        70 %  ###########################
s sad           3 %  #
a angry        10 %  ####
f fearful       0 %
d disgust       0 %
u surprised     4 %  ##

  level      -30 dB  ###################
* speech      100 %  ######################################
  history            --su?hh
  USB Mic 48 kHz - lag 0.1 s - dropped 0.0 s
"""
SILENCE = """\
  no-speech                                           01:24

n neutral
c calm
h happy
s sad
a angry
f fearful
d disgust
u surprised

  level      -99 dB
○ speech       10 %  ███▊
  history            ··su?hh·
  USB Mic 48 kHz · lag 0.1 s · dropped 0.0 s
"""
LISTENING = """\
  listening                                           00:00

n neutral
c calm
h happy
s sad
a angry
f fearful
d disgust
u surprised

  level      -99 dB
  speech
  history

"""
