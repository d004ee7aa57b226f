# SPDX-License-Identifier: Apache-2.0
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_models.presets import SWITCHES, TUNED, without
from golden import kernels
from golden.config import ChipConfig, TransferConfig
from golden.engine import MachineEngine
from golden.schedule import epoch_order, initial_weights
from golden.trainer import AnalogClassifier

CHIP = ChipConfig(
    layers=(30, 12, 3),
    forward_shift=(15, 16),
    backward_shift=(13, 13),
    transfer=TransferConfig(interval=70),
    seed=5,
)


def problem(n=200, seed=1):
    """Three classes, each with its own ten bright pixels, and some noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 60, (n, 30))
    for k in range(3):
        x[y == k, 10 * k : 10 * k + 10] += 150
    return x.astype(np.uint8), y


@pytest.mark.parametrize(("tile", "epochs"), [("fixed", 6), ("physical", 3)])
def test_trainer_learns_a_separable_problem(tile, epochs):
    model = AnalogClassifier(CHIP, epochs=epochs, tile=tile).fit(
        *problem(), validation=problem(90, 2)
    )
    # Chance is 33 %: with 90 examples five sigma above it is 58 %.
    assert model.history_[-1]["test_accuracy"] > 58


def test_trainer_same_seed_same_bits_another_seed_others():
    digests = [
        AnalogClassifier(CHIP.but(seed=seed), epochs=1).fit(*problem()).digest()
        for seed in (5, 5, 6)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_trainer_bits_are_pinned():
    digest = AnalogClassifier(CHIP, epochs=2).fit(*problem()).digest()
    assert digest == "155569a41580060bcce950aba0e6c834310aafa00795914aad33938a0a0669b5"


def test_trainer_evaluation_does_not_change_the_training():
    plain = AnalogClassifier(CHIP, epochs=2).fit(*problem())
    watched = AnalogClassifier(CHIP, epochs=2).fit(*problem(), validation=problem(50, 2))
    assert plain.digest() == watched.digest()


@cache
def stopped(tile):
    """Return a model that was trained to the end, and its states on the way."""
    states = []
    whole = AnalogClassifier(CHIP, epochs=2, tile=tile)
    whole.fit(*problem(), validation=problem(50, 2), on_stop=lambda m: states.append(m.state()))
    return whole, states


@pytest.mark.parametrize("tile", ["fixed", "physical"])
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_trainer_resumes_with_the_same_bits(tile, stop):
    whole, states = stopped(tile)
    again = AnalogClassifier(CHIP, epochs=2, tile=tile)
    again.fit(*problem(), validation=problem(50, 2), state=states[stop])
    assert again.digest() == whole.digest()
    assert again.history_ == whole.history_
    assert again.intervals_ == whole.intervals_


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(20, 150), st.integers(0, 2**40), st.data())
def test_trainer_resumes_anywhere_with_the_same_bits(interval, seed, data):
    config = CHIP.but(transfer=TransferConfig(interval=interval), seed=seed)
    states = []
    whole = AnalogClassifier(config, epochs=2)
    whole.fit(*problem(), on_stop=lambda m: states.append(m.state()))
    stop = data.draw(st.integers(0, len(states) - 1))
    again = AnalogClassifier(config, epochs=2).fit(*problem(), state=states[stop])
    assert again.digest() == whole.digest()
    assert (again.history_, again.intervals_) == (whole.history_, whole.intervals_)


def test_trainer_state_is_a_copy():
    model = AnalogClassifier(CHIP, epochs=1).fit(*problem())
    state = model.state()
    kept = {name: array.copy() for name, array in state["arrays"].items()}
    model.engine_.train(*problem(), np.arange(200))
    for name, array in kept.items():
        np.testing.assert_array_equal(state["arrays"][name], array, err_msg=name)


def test_trainer_runs_the_same_bits_on_the_reference_machine():
    model = AnalogClassifier(CHIP, epochs=2).fit(*problem())
    engine, update = MachineEngine(CHIP), CHIP.update
    engine.write_weights(initial_weights(CHIP.layers, CHIP.seed))
    x, y = problem()
    for epoch in range(2):
        engine.set_learning_rate(update.learning_rate * update.decay**epoch)
        engine.train(x, y, epoch_order(CHIP.seed, epoch, 200))
    fast = model.engine_.state()
    for name, array in engine.state().items():
        np.testing.assert_array_equal(fast[name], array, err_msg=name)


@pytest.mark.parametrize("interval", [40, 80])  # epochs of 200: 80 goes across their ends
def test_trainer_intervals_add_up(interval):
    model = AnalogClassifier(CHIP.but(transfer=TransferConfig(interval=interval)), epochs=2)
    model.fit(*problem())
    assert [row["end"] for row in model.intervals_] == list(range(interval, 401, interval))
    assert {row["examples"] for row in model.intervals_} == {interval}
    assert {row["transfers"] for row in model.intervals_} == {1}
    correct = sum(row["correct"] for row in model.intervals_)
    assert correct / 2 == sum(row["train_accuracy"] for row in model.history_)
    for row in model.intervals_:
        assert len(row["forward_clips"]) == len(row["capacitor"]) == 2
        assert all(0 <= use["saturated"] <= 1 and use["rms"] > 0 for use in row["capacitor"])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((5, 29), np.uint8),
        np.zeros((5, 31), np.uint8),
        np.zeros((5, 30), np.uint16),
        np.zeros((5, 30)),
        np.zeros(30, np.uint8),
    ],
    ids=["narrow", "wide", "uint16", "float", "one"],
)
def test_trainer_refuses_images_of_another_kind(bad):
    model = AnalogClassifier(CHIP, epochs=1).fit(*problem())
    sentence = re.escape(f"x must be uint8 of shape (n, 30), not {bad.dtype} {bad.shape}")
    for use in (
        model.predict,
        model.decision_function,
        lambda x: model.fit(*problem(), validation=(x, np.zeros(5, int))),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            use(bad)


def test_trainer_refuses_to_predict_before_it_is_fitted():
    with pytest.raises(
        ValueError, match=r"^fit must come before predict, score and decision_function$"
    ):
        AnalogClassifier(CHIP).predict(problem()[0])


def test_trainer_refuses_epochs_that_learn_nothing():
    with pytest.raises(ValueError, match=r"^epochs must leave a learning rate to the last one, "):
        AnalogClassifier(CHIP, epochs=300).fit(*problem())


def test_trainer_compiles_for_no_other_kind_of_array():
    x, y = problem()
    AnalogClassifier(CHIP, epochs=1).fit(x, y)
    before = len(kernels.train.signatures)
    x.flags.writeable = False
    AnalogClassifier(CHIP, epochs=1).fit(x, y)
    assert len(kernels.train.signatures) == before


def test_trainer_predicts_the_largest_score():
    model = AnalogClassifier(CHIP, epochs=1).fit(*problem())
    x, y = problem(50, 2)
    scores = model.decision_function(x)
    assert scores.shape == (50, 3)
    np.testing.assert_array_equal(model.predict(x), scores.argmax(axis=1))
    assert model.score(x, y) == np.mean(model.predict(x) == y)


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_changes_the_training(name):
    # Examples a hundred times longer, so that drift shows within a few hundred of them.
    slow = TUNED.but(period=(24e-6, "test"))
    chips = CHIP.but(tile=slow), CHIP.but(tile=without(slow, name))
    digests = {AnalogClassifier(c, epochs=2).fit(*problem(400)).digest() for c in chips}
    assert len(digests) == 2


def test_trainer_polarity_flips_at_every_transfer():
    model = AnalogClassifier(CHIP, epochs=1)
    signs = []
    model.fit(*problem(), on_stop=lambda m: signs.append(int(m.engine_.state()["sign"][0])))
    assert signs == [-1, 1, 1]  # after 70, 140, and the epoch's end


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (
            np.zeros((5, 29), np.uint8),
            np.zeros(5),
            "x must be uint8 of shape (n, 30), not uint8 (5, 29)",
        ),
        (np.zeros((5, 30)), np.zeros(5), "x must be uint8 of shape (n, 30), not float64 (5, 30)"),
        (np.zeros((5, 30), np.uint8), np.full(5, 3), "y must hold one class in 0..2 per example"),
        (np.zeros((5, 30), np.uint8), np.full(5, -1), "y must hold one class in 0..2 per example"),
        (np.zeros((5, 30), np.uint8), np.zeros(4), "y must hold one class in 0..2 per example"),
        (np.zeros((0, 30), np.uint8), np.zeros(0), "y must hold one class in 0..2 per example"),
    ],
)  # fmt: skip
def test_trainer_rejects_wrong_examples(x, y, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        AnalogClassifier(CHIP).fit(x, y)


def test_trainer_rejects_an_unknown_tile():
    with pytest.raises(ValueError, match=r"^tile must be 'fixed' or 'physical', not 'x'$"):
        AnalogClassifier(CHIP, tile="x").fit(*problem())
