"""Labels that are rare in training are no less likely in the answers."""

import keras
import numpy as np

from ser_train.networks.logit_adjustment import adjust, logit_adjustment


def test_a_rare_label_gains_what_its_frequency_took() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    inputs = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    before = model.predict(inputs, verbose=0)
    adjust(model, logit_adjustment(np.array([0, 1, 1, 2, 2, 2, 2]), 3, 1.0))
    after = before / [1, 2, 4]
    np.testing.assert_allclose(model.predict(inputs, verbose=0), after / after.sum(1, keepdims=True), rtol=1e-5)


def test_nothing_is_added_where_all_are_as_frequent_where_nobody_says_it_or_by_wish() -> None:
    np.testing.assert_array_equal(logit_adjustment(np.array([0, 2, 2, 0]), 3, 1.0), [0, 0, 0])
    np.testing.assert_array_equal(logit_adjustment(np.array([0, 1, 1]), 2, 0.0), [0, 0])
