"""Equal neighbouring windows become one."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge import AudioError, Prediction, merge
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN


def window(
    start: float, label: str, probability: float = 0.6, path: str | None = "a.wav", speech: float | None = 0.5
) -> Prediction:
    """Three seconds; `probability` is that of the label, or of sad where it is no emotion."""
    best = label if label in ("calm", "happy", "sad") else "sad"
    if label == NO_SPEECH:
        return Prediction(path, start, start + 3, label, 0.0, dict.fromkeys(("calm", "happy", "sad"), 0.0), speech)
    named = dict.fromkeys(("calm", "happy", "sad"), (1 - probability) / 2) | {best: probability}
    return Prediction(path, start, start + 3, label, probability, named, speech)


def test_a_merged_window_has_the_times_of_its_ends_and_the_means() -> None:
    first, second, third = window(0, "calm", 0.5, speech=0.3), window(0.5, "calm", 0.7), window(1, "calm", 0.9)
    after = window(1.5, "sad")
    merged, alone = merge([first, second, third, after])
    assert (merged.path, merged.start, merged.end, merged.label) == ("a.wav", 0, 4, "calm")
    assert merged.confidence == merged.probabilities["calm"] == pytest.approx(0.7)
    assert sum(merged.probabilities.values()) == pytest.approx(1)
    assert merged.speech == pytest.approx(0.433)
    assert alone is after


def test_the_confidence_of_uncertain_windows_is_that_of_the_likeliest_in_the_mean() -> None:
    one = Prediction(None, 0, 3, UNCERTAIN, 0.4, {"calm": 0.4, "happy": 0.3, "sad": 0.3})
    other = Prediction(None, 0.5, 3.5, UNCERTAIN, 0.4, {"calm": 0.3, "happy": 0.3, "sad": 0.4})
    (merged,) = merge([one, other])
    assert merged.confidence == max(merged.probabilities.values()) == pytest.approx(0.35)
    assert merged.speech is None


def test_silence_is_merged_and_stays_without_a_confidence() -> None:
    (merged,) = merge([window(start / 2, NO_SPEECH, speech=0.0) for start in range(5)])
    assert (merged.start, merged.end, merged.confidence, merged.speech) == (0, 5, 0.0, 0.0)


@pytest.mark.parametrize(
    "other",
    [
        window(0.5, "sad"),
        window(0.5, "calm", path="b.wav"),
        window(3.5, "calm"),  # after a gap that no window covers
        window(0, "calm"),  # the same file once more
    ],
)
def test_others_are_not_neighbours(other: Prediction) -> None:
    first = window(0, "calm")
    assert list(merge([first, other])) == [first, other]


def test_windows_that_touch_are_neighbours() -> None:
    assert len(list(merge([window(0, "calm"), window(3, "calm")]))) == 1


def test_a_merged_window_is_there_as_soon_as_another_label_follows() -> None:
    def endless() -> Iterator[Prediction]:
        yield window(0, "calm")
        yield window(0.5, "calm")
        yield window(1, "sad")
        raise AssertionError("nobody needs this yet")

    assert next(merge(endless())).end == 3.5


def test_what_came_before_an_error_is_kept() -> None:
    def cut() -> Iterator[Prediction]:
        yield window(0, "calm")
        yield window(0.5, "calm")
        raise AudioError("a.wav: truncated")

    merged = merge(cut())
    assert next(merged).end == 3.5
    with pytest.raises(AudioError):
        next(merged)


@given(st.lists(st.sampled_from(["calm", "happy", UNCERTAIN, NO_SPEECH])))
def test_labels_alternate_and_nothing_is_lost(labels: list[str]) -> None:
    merged = list(merge(window(hop / 2, label) for hop, label in enumerate(labels)))
    assert all(a.label != b.label for a, b in itertools.pairwise(merged))
    assert [m.label for m in merged] == [b for a, b in zip([None, *labels], labels, strict=False) if a != b]
    if labels:
        assert (merged[0].start, merged[-1].end) == (0, (len(labels) - 1) / 2 + 3)
    assert list(merge(merged)) == merged
