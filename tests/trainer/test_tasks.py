"""Inputs, answers, splits and controls."""

import zlib

import numpy as np
import pytest

from heatcap_trainer.config import ConfigError, TaskConfig
from heatcap_trainer.tasks import build, probe

OPERATIONS = {
    "addition": lambda a, b: a + b,
    "subtraction": lambda a, b: a - b,
    "multiplication": lambda a, b: a * b,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_modular_answers(name):
    data = build(TaskConfig(name=name, p=7), seed=0)
    a, b, equals = data.tokens.T
    assert len(np.unique(data.tokens, axis=0)) == 49
    assert set(equals) == {7}
    np.testing.assert_array_equal(data.answers, OPERATIONS[name](a, b) % 7)


@pytest.mark.parametrize("seed", range(3))
def test_an_ordered_split_has_its_fraction_and_its_mirrors(seed):
    data = build(TaskConfig(p=11, fraction=0.7), seed)
    assert data.trained.sum() == round(0.7 * 121)
    trained = {tuple(t) for t in data.tokens[data.trained, :2]}
    for (a, b), mirrored in zip(data.tokens[:, :2], data.mirror_trained, strict=True):
        assert mirrored == ((b, a) in trained)


def test_the_diagonal_is_mirror_free_where_it_is_untrained():
    data = build(TaskConfig(p=11, fraction=0.5), seed=1)
    diagonal = data.tokens[:, 0] == data.tokens[:, 1]
    np.testing.assert_array_equal(data.mirror_free[diagonal], ~data.trained[diagonal])
    assert not (data.mirror_free & data.trained).any()


def test_an_unordered_split_leaks_no_mirror_and_has_one_size():
    sizes = set()
    for seed in range(4):
        data = build(TaskConfig(p=11, fraction=0.6, split="unordered"), seed)
        np.testing.assert_array_equal(data.trained, data.mirror_trained)
        np.testing.assert_array_equal(data.mirror_free, ~data.trained)
        sizes.add(int(data.trained.sum()))
    assert len(sizes) == 1


def test_seeds_draw_other_splits_and_one_seed_the_same():
    one, same, other = (build(TaskConfig(p=11), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.trained, same.trained)
    assert (one.trained != other.trained).any()


def test_asymmetric_tasks_have_no_mirror():
    assert build(TaskConfig(name="subtraction", p=7), 0).mirror_free is None
    assert build(TaskConfig(name="recall", samples=50), 0).mirror_free is None


@pytest.mark.parametrize("name", ["addition", "recall"])
def test_random_labels_are_drawn_by_the_seed_and_say_nothing(name):
    task = TaskConfig(name=name, p=31, control="random_labels")
    plain = TaskConfig(name=name, p=31)
    one, other, truth = build(task, 0), build(task, 1), build(plain, 0)
    np.testing.assert_array_equal(one.tokens, truth.tokens)
    np.testing.assert_array_equal(one.trained, truth.trained)
    n, chance = len(one.answers), 1 / task.answers
    spread = 5 * np.sqrt(chance / n)
    assert abs((one.answers == truth.answers).mean() - chance) < spread
    assert abs((one.answers == other.answers).mean() - chance) < spread


@pytest.mark.parametrize("joined", [False, True])
def test_recall_asks_for_the_value_beside_the_key(joined):
    task = TaskConfig(name="recall", pairs=5, alphabet=9, values=4, samples=200, joined=joined)
    data = build(task, seed=0)
    assert data.tokens.shape == (200, task.positions)
    assert data.tokens.max() < data.vocabulary
    for tokens, answer in zip(data.tokens, data.answers, strict=True):
        context, query = tokens[:-1], tokens[-1]
        if joined:
            keys, values = np.divmod(context - 9, 4)
        else:
            keys, values = context[::2], context[1::2] - 9
        assert len(set(keys)) == 5
        assert values[list(keys).index(query)] == answer


def test_no_recall_context_stands_on_both_sides_of_the_split():
    """48 contexts: 40 draws repeat some; the default task has so many that none repeats."""
    few = TaskConfig(name="recall", pairs=2, alphabet=3, values=2, samples=40)
    with pytest.raises(ConfigError, match=r"task\.samples: \d+ of 40 contexts are drawn more than"):
        build(few, 0)
    tokens = build(TaskConfig(name="recall"), 0).tokens
    assert len(np.unique(tokens, axis=0)) == len(tokens)


def test_the_draw_of_the_recall_task_is_what_it_was():
    """Numbers of the first version: runs of earlier configurations must come out again."""
    data = build(TaskConfig(name="recall"), 0)
    assert zlib.crc32(data.tokens.tobytes()) == 3829210880
    assert zlib.crc32(data.answers.tobytes()) == 1999868258


def test_the_probe_belongs_to_the_task_and_its_size():
    task = TaskConfig(p=43, fraction=0.3)
    chosen = probe(task, 1024)
    assert len(np.unique(chosen)) == 1024
    np.testing.assert_array_equal(chosen, probe(TaskConfig(p=43, fraction=0.9), 1024))
    assert (chosen != probe(TaskConfig(p=43, name="subtraction"), 1024)).any()
    np.testing.assert_array_equal(probe(TaskConfig(p=19), 1024), np.arange(361))


def test_the_probe_is_uniform():
    """Coordinates of 1024 of 43^2 inputs: the mean of a lies within five standard errors of 21."""
    a, b = np.divmod(probe(TaskConfig(p=43), 1024), 43)
    error = np.sqrt((43**2 - 1) / 12 / 1024)
    assert abs(a.mean() - 21) < 5 * error
    assert abs(b.mean() - 21) < 5 * error


def test_a_split_without_mirror_free_inputs_is_refused():
    """One test input of nine: on the diagonal it is mirror-free, off it its mirror leaks."""
    for seed in range(20):
        task = TaskConfig(p=3, fraction=0.9)
        diagonal = np.random.default_rng(seed).permutation(9)[-1] % 4 == 0
        if diagonal:
            assert build(task, seed).mirror_free.sum() == 1
        else:
            with pytest.raises(ConfigError, match=r"fraction: 0\.9 leaves no test input with an"):
                build(task, seed)
