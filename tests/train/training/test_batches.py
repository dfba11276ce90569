"""What a network is shown in an epoch: who, how often, mixed with whom, and taught what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ser_edge.models.metadata import Normalization
from ser_train.networks.config import AugmentedConfig, BaselineConfig, EncoderConfig
from ser_train.training.batches import AugmentedBatches, Examples, FixedBatches

RECIPE = AugmentedConfig(batch_size=4, label_smoothing=0.0)
PLAIN = Normalization((0.0, 0.0), (1.0, 1.0))


class Marked:
    """An augmenter whose versions carry their source and their number."""

    def __init__(self, lengths: Sequence[int]):
        self.lengths = lengths

    def __call__(self, place: int, random: np.random.Generator) -> np.ndarray:
        length = self.lengths[place] + int(random.integers(3))
        return np.tile(np.array([[place + 1, random.random()]], np.float32), (length, 1))

    def masked(self, features: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return features


def examples(places: Sequence[int], labels: Sequence[int], missing: Sequence[int] = (), share: float = 1.0) -> Examples:
    targets = np.eye(4, dtype=np.float32)[list(labels)]
    targets[:, list(missing)] = -1
    return Examples(np.array(places), targets, share)


SPEECH = examples(range(10), [0, 1, 2, 3] * 2 + [0, 1])
SONG = examples(range(10, 16), [0, 1] * 3, missing=[3], share=0.3)  # 3 of 6
POLISH = examples(range(16, 18), [2, 3], missing=[0, 1], share=0.2)  # both
LENGTHS = np.random.default_rng(0).integers(10, 100, 18).tolist()


def batches(
    recipe: AugmentedConfig = RECIPE, corpora: Sequence[Examples] = (SPEECH, SONG, POLISH), **more
) -> AugmentedBatches:
    return AugmentedBatches(Marked(LENGTHS), PLAIN, corpora, recipe, **more)


def sources_in(epoch: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """The sources in an epoch, in order."""
    return [int(row[0, 0]) - 1 for features, _ in epoch for row in features]


def test_fixed_features_come_once_an_epoch_in_an_order_of_seed_and_epoch() -> None:
    features, labels = np.arange(20, dtype=np.float32).reshape(10, 1, 2), np.arange(10)
    made = FixedBatches(features, labels, BaselineConfig(batch_size=4))
    orders = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        parts = made(seed, epoch)
        assert [len(part) for part, _ in parts] == [4, 4, 2]
        order = np.concatenate([targets for _, targets in parts])
        np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), features[order])
        assert sorted(order) == list(range(10))
        orders[tuple(order)] = None
    assert len(orders) == 3
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in made(0, 1)]), list(orders)[1])


def test_the_first_corpus_is_drawn_whole_and_others_by_their_ratio() -> None:
    made, seen = batches(), Counter()
    for epoch in range(12):
        sources = sources_in(made(0, epoch))
        assert sorted(place for place in sources if place < 10) == list(range(10))
        song, polish = ([p for p in sources if p in corpus.places] for corpus in (SONG, POLISH))
        assert len(set(song)) == len(song) == 3
        assert sorted(polish) == [16, 17]
        seen.update(song)
    assert set(seen) == set(range(10, 16))  # not always the same


def test_an_epoch_has_as_many_batches_as_it_says() -> None:
    for size in (1, 4, 5, 15, 16):
        made = batches(replace(RECIPE, batch_size=size))
        epoch = made(0, 0)
        assert len(epoch) == made.count == -(-15 // size)
        assert sum(len(features) for features, _ in epoch) == 15
        assert max(len(features) for features, _ in epoch) == min(size, 15)


ENCODER = EncoderConfig(batch_size=2)
FEW = (ENCODER.min_batches - 1) * ENCODER.batch_size  # examples that fill too few batches


@pytest.mark.parametrize(("count", "repeats"), [(1, FEW + 1), (5, FEW // 5 + 1), (FEW, 2), (FEW + 1, 1)])
def test_a_small_corpus_is_repeated_and_each_time_augmented_anew(count: int, repeats: int) -> None:
    made = AugmentedBatches(Marked([9] * count), PLAIN, [examples(range(count), [0] * count)], ENCODER)
    epoch = made(0, 0)
    assert len(epoch) == made.count >= ENCODER.min_batches
    assert Counter(sources_in(epoch)) == dict.fromkeys(range(count), repeats)
    assert len({float(row[0, 1]) for features, _ in epoch for row in features}) == count * repeats


@pytest.mark.parametrize("recipe", [RECIPE, ENCODER])
def test_a_corpus_of_enough_batches_is_drawn_as_without_a_minimum(
    recipe: AugmentedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [examples(range(FEW + 1), [0] * (FEW + 1)), examples(range(3), [1] * 3, share=0.1)]
    made = AugmentedBatches(Marked([9] * (FEW + 1)), PLAIN, large, recipe)
    with_minimum = [made(1, epoch) for epoch in range(3)]
    monkeypatch.setattr(EncoderConfig, "min_batches", 1)
    for before, after in zip(with_minimum, [made(1, epoch) for epoch in range(3)], strict=True):
        for one, other in zip(before, after, strict=True):
            for array, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(array, same)


def test_targets_are_their_utterances_own() -> None:
    known = {p: t for corpus in (SPEECH, SONG, POLISH) for p, t in zip(corpus.places, corpus.targets, strict=True)}
    for features, targets in batches()(0, 0):
        assert targets.dtype == np.float32
        for row, target in zip(features, targets, strict=True):
            np.testing.assert_array_equal(target, known[int(row[0, 0]) - 1])


def test_utterances_of_about_one_length_are_batched_and_filled_up_with_zeros() -> None:
    spreads = []
    for features, _ in batches()(0, 0):
        there = (features != 0).any(axis=-1)
        lengths = there.sum(axis=1)
        assert lengths.max() == features.shape[1]
        assert all(row[:length].all() and not row[length:].any() for row, length in zip(there, lengths, strict=True))
        spreads.append(np.ptp(lengths))
    assert np.mean(spreads) < 0.5 * np.ptp(LENGTHS)


def test_the_order_of_the_batches_is_not_that_of_their_lengths() -> None:
    orders = [[features.shape[1] for features, _ in batches()(0, epoch)] for epoch in range(5)]
    assert any(order != sorted(order) for order in orders)
    assert len({tuple(np.argsort(order)) for order in orders}) > 1


def test_an_epoch_is_repeatable_whatever_went_before_and_another_is_another() -> None:
    made = batches(replace(RECIPE, mixup=0.4))
    first = made(0, 3)
    made(0, 4)
    for (features, targets), (again, targets_again) in zip(first, made(0, 3), strict=True):
        np.testing.assert_array_equal(features, again)
        np.testing.assert_array_equal(targets, targets_again)
    for other in (made(0, 2), made(1, 3)):
        assert any(a.shape != b.shape or not np.array_equal(a, b) for (a, _), (b, _) in zip(first, other, strict=True))


def test_labels_are_smoothed_among_those_the_corpus_has() -> None:
    smooth = batches(replace(RECIPE, label_smoothing=0.1))
    for features, targets in smooth(0, 0):
        for row, target in zip(features, targets, strict=True):
            place = int(row[0, 0]) - 1
            if place < 10:
                assert sorted(target.round(4)) == pytest.approx([0.025] * 3 + [0.925])
            elif place < 16:
                assert target[3] == -1
                assert sorted(target[:3].round(4)) == pytest.approx([0.0333] * 2 + [0.9333])
            else:
                np.testing.assert_array_equal(target[:2], -1)
                assert sorted(target[2:].round(4)) == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0])  # the smallest gives shares that round to 1
def test_mixed_examples_are_mostly_themselves_and_their_targets_still_sum_to_one(alpha: float) -> None:
    made = batches(replace(RECIPE, mixup=alpha, batch_size=15))
    for epoch in range(20):
        ((_, targets),) = made(0, epoch)
        assert ((targets == -1) | ((targets >= 0) & (targets <= 1))).all()
        np.testing.assert_allclose(np.maximum(targets, 0).sum(axis=1), 1, atol=1e-6)
        assert (np.maximum(targets, 0).max(axis=1) >= 0.5 - 1e-6).all()


def test_what_is_mixed_is_the_mixture_that_its_targets_say() -> None:
    """Source 1 has label 0 and source 2 label 1: the mark of a mixture shows its weight."""
    corpus = examples([0, 1], [0, 1])
    lengths = [30, 30]
    made = AugmentedBatches(Marked(lengths), PLAIN, [corpus], replace(RECIPE, mixup=1.0))
    mixed = 0
    for epoch in range(20):
        ((features, targets),) = made(0, epoch)
        np.testing.assert_allclose(
            features[:, :30, 0], np.repeat(targets @ [[1], [2], [0], [0]], 30, axis=1), atol=1e-5
        )
        mixed += int((targets.max(axis=1) < 1).sum())
    assert mixed > 5


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_a_mixture_does_not_teach_that_a_label_is_wrong_which_one_of_its_corpora_lacks(alpha: float) -> None:
    made = batches(replace(RECIPE, mixup=alpha, batch_size=15))
    both = 0
    for epoch in range(30):
        ((features, targets),) = made(0, epoch)
        for corpus in (SONG, POLISH):
            (lacking,) = np.nonzero((corpus.targets == -1).all(axis=0))
            for row, target in zip(features, targets, strict=True):
                if row[0, 0] - 1 in corpus.places:  # with a share of 1 the mark is still a whole number
                    assert ((target[lacking] == -1) | (target[lacking] > 0)).all()
        # Of two corpora: where one has the label, its part of it stays.
        assert ((targets == -1) | (targets >= 0)).all()
        both += int(((targets[:, 0] > 0) & (targets[:, 3] > 0)).sum())
    if alpha == 1.0:
        assert both > 0


def test_the_teachers_opinion_is_weighed_against_the_label() -> None:
    def teacher(features: np.ndarray) -> np.ndarray:
        """Of each version: how it is marked decides."""
        sure = np.clip(features[:, 0, 1], 0.1, 0.7)
        return np.stack([sure, 0.7 - sure, np.full(len(sure), 0.2), np.full(len(sure), 0.1)], axis=1).astype(np.float32)

    recipe = replace(RECIPE, distillation_weight=0.7)
    for (features, taught), (same, labels) in zip(
        batches(recipe, teacher=teacher)(0, 0), batches(recipe)(0, 0), strict=True
    ):
        np.testing.assert_array_equal(features, same)
        known = labels >= 0
        opinion = teacher(features) * known
        opinion /= opinion.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(taught[known], (0.3 * labels + 0.7 * opinion)[known], atol=1e-6)
        assert (taught[~known] == -1).all()
        np.testing.assert_allclose(np.maximum(taught, 0).sum(axis=1), 1, atol=1e-6)


def test_the_teacher_hears_the_very_batch_that_is_mixed() -> None:
    heard_by_teacher = []

    def teacher(features: np.ndarray) -> np.ndarray:
        heard_by_teacher.append(features.copy())
        return np.full((len(features), 4), 0.25, np.float32)

    epoch = batches(replace(RECIPE, mixup=0.4), teacher=teacher)(0, 0)
    for (features, _), opinion_of in zip(epoch, heard_by_teacher, strict=True):
        np.testing.assert_array_equal(features, opinion_of)
