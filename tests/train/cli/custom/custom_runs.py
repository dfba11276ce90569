"""Settings of small networks of custom recordings, which several test modules train."""

import re

import pytest

from ser_train.runs.settings import Settings

LABELS = ("bored", "engaged", "sad")
TINY = ("channels=4,4,4", "dense=8", "units=4")
OWN = Settings("crnn", "speaker", epochs=2, changes=TINY)


def epochs_trained(capsys: pytest.CaptureFixture[str]) -> int:
    """Epochs that trainings since the last call reported."""
    return len(re.findall(r"  epoch \d+/", capsys.readouterr().err))
