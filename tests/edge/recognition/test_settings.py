"""Settings of a recognizer that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import ModelError, Recognizer


@pytest.mark.parametrize("path", ["x.wav", Path("b/x.mp3")])
def test_a_sound_is_no_model(path: Any) -> None:
    with pytest.raises(ModelError):
        Recognizer(path)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"model": np.zeros(9)}, TypeError),
        ({"threads": 0}, ValueError),
        ({"threads": 1025}, ValueError),
        ({"threads": 10**6}, ValueError),
        ({"threads": True}, ValueError),
        ({"threads": "2"}, ValueError),
        ({"threshold": 50}, ValueError),
        ({"threshold": float("nan")}, ValueError),
        ({"channel": 0}, ValueError),
        ({"channel": -1}, ValueError),
        ({"channel": 1.5}, ValueError),
    ],
)
def test_a_recognizer_with_invalid_settings_is_refused(settings: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(settings))):
        Recognizer(**settings)
