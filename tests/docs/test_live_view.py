"""The script that draws the README's picture works with the live view as it is."""

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

from ser_edge import Recognizer

SCRIPT = Path(__file__).parents[2] / "docs" / "live_view.py"


def test_the_picture_has_a_row_for_each_label_and_bars(tmp_path: Path) -> None:
    target = tmp_path / "live-view.svg"
    runpy.run_path(str(SCRIPT))["main"](target)
    drawing = ET.parse(target).getroot()
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {*Recognizer().metadata.labels, "level", "history"} <= set(texts)
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}rect"))) > 3
