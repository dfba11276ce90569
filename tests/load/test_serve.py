"""A few seconds of `tests.load.serve`."""

import argparse
import sys

import pytest

from tests.conftest import SOUNDS
from tests.load.serve import run, table


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has other local addresses without asking")
def test_a_loaded_server_gives_the_answers_of_an_idle_one() -> None:
    options = argparse.Namespace(uploads=8, streams=3, seconds=18, model="small", data=SOUNDS)
    tally = run(options)
    print(table(tally))
    assert (tally.wrong, tally.lost) == ([], [])
    assert tally.statuses[200] > 0
    assert set(tally.streams) == {1000}
    assert {what.partition(":")[0] for what in tally.bad} >= {"killed", "2 GB", "text", "silent"}
    assert {what for what in tally.bad if what.startswith(("2 GB", "text"))} <= {
        f"{kind} within {seconds} s" for kind in ("2 GB: 413", "text: 415") for seconds in (5, 10, 15)
    }
