"""What the augmented recipe trains on: speakers, corpora, labels; nothing is trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_train.data.corpus_loader import EMOTIONS, Utterance
from tests.train.training.trainings import CRNN, SMALL, plan_of


def test_songs_of_test_speakers_do_not_train(everything: Sequence[Utterance], tmp_path: Path) -> None:
    made = plan_of(CRNN, everything, tmp_path)
    speakers = {source.speaker for source in made.batches.source.sources}
    assert speakers == {"ravdess/01", "ravdess/03", "ravdess/04", "ravdess/06", "nemo/EB0", "nemo/KS0"}
    assert len(made.batches.source.sources) == 64 + 24 + 12


def test_a_corpus_does_not_train_a_label_it_lacks(everything: Sequence[Utterance], tmp_path: Path) -> None:
    settings = replace(CRNN, changes=(*SMALL, "mixup=0.2"))  # of many a share that rounds to 1
    batches = plan_of(settings, everything, tmp_path).batches
    missing = {
        "ravdess": set(),
        "ravdess_song": {"disgust", "surprised"},
        "nemo": {"calm", "disgust"},
    }
    for examples, (corpus, labels) in zip(batches.corpora, missing.items(), strict=True):
        without = {label for label, column in zip(EMOTIONS, examples.targets.T, strict=True) if (column == -1).all()}
        assert without == labels, corpus
        known = [label not in labels for label in EMOTIONS]
        np.testing.assert_array_equal(examples.targets[:, known].sum(axis=1), 1)
    for features, targets in batches(0, 0):
        assert np.isfinite(features).all()
        assert ((targets == -1) | (targets > 0)).all()
        np.testing.assert_allclose(np.maximum(targets, 0).sum(axis=1), 1, atol=1e-6)


def test_other_corpora_share_their_part_by_the_root_of_their_sizes(
    everything: Sequence[Utterance], tmp_path: Path
) -> None:
    speech, song, polish = plan_of(CRNN, everything, tmp_path).batches.corpora
    assert [len(e.places) for e in (speech, song, polish)] == [64, 24, 12]
    assert speech.ratio == 1
    assert song.ratio == pytest.approx(0.5 * 24**0.5 / (24**0.5 + 12**0.5))
    assert polish.ratio == 12 / 64  # no more than there is
    whole = plan_of(replace(CRNN, changes=(*SMALL, "extra_corpora_ratio=9")), everything, tmp_path).batches.corpora
    assert [examples.ratio for examples in whole] == [1, 24 / 64, 12 / 64]


def test_every_actor_trains_the_network_to_ship(everything: Sequence[Utterance], tmp_path: Path) -> None:
    made = plan_of(replace(CRNN, protocol="all"), everything, tmp_path)
    assert len(made.batches.source.sources) == 96 + 36 + 12
