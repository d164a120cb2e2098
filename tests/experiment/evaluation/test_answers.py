from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from dlcli.contracts.batch import Batch
from dlcli.contracts.task import Task
from dlcli.experiment.evaluation.answers import answers_of
from dlcli.experiment.evaluation.bootstrap import Resampled
from dlcli.experiment.evaluation.worst_rows import worst_rows

ROWS, STEPS, CLASSES = 6, 4, 3
LENGTHS = torch.tensor([4, 1, 3, 2, 4, 2])
WEIGHT = torch.tensor([1.0, 2.0, 0.0, 1.0, 0.5, 1.0])


class Sequences:
    """Six rows of up to four positions, in batches of four rows."""

    def __init__(self, target):
        self.target = target

    def evaluation(self, member, rows):
        for part in torch.split(rows, 4):
            yield Batch((), self.target[part], weight=WEIGHT[part], lengths=LENGTHS[part])


@pytest.fixture
def sequences(plugins):
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(ROWS, STEPS, CLASSES, generator=generator)
    output[torch.arange(STEPS) >= LENGTHS[:, None]] = torch.inf  # padding must not be looked at
    target = torch.randint(CLASSES, (ROWS, STEPS), generator=generator)
    loss = plugins.registry.create("loss", "cross_entropy")
    judge = SimpleNamespace(io=SimpleNamespace(task=Task.MULTICLASS), loss=loss)
    return output, target, answers_of(output, judge, Sequences(target), torch.arange(ROWS), None)


def counted():
    """Every position that counts: its row and place, row by row."""
    return [(row, step) for row in range(ROWS) for step in range(LENGTHS[row]) if WEIGHT[row] > 0]


def test_padding_and_rows_of_weight_zero_are_left_out(sequences):
    output, target, answers = sequences
    assert list(zip(answers.row.tolist(), answers.position.tolist(), strict=True)) == counted()
    assert answers.units == 5  # one row counts for nothing
    for place, (row, step) in enumerate(counted()):
        expected = functional.cross_entropy(output[row, step], target[row, step])
        assert answers.losses[place] == pytest.approx(float(expected), rel=1e-6)
        assert answers.loss_weights[place] == answers.weight[place] == WEIGHT[row]


def test_rows_of_positions_are_drawn_whole(sequences):
    _, _, answers = sequences
    counts = torch.tensor([[0, 2, 0, 1, 0]])  # the second and the fifth row, since the third does not count
    found = Resampled(answers, {})(counts)["loss"]
    own = {row: answers.losses[answers.row == row].sum() * WEIGHT[row] for row in (1, 4)}
    weights = {row: LENGTHS[row] * WEIGHT[row] for row in (1, 4)}
    assert float(found) == pytest.approx(float((2 * own[1] + own[4]) / (2 * weights[1] + weights[4])))


def test_the_worst_rows_have_the_highest_mean_and_name_their_worst_position(sequences):
    output, target, answers = sequences
    losses = functional.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="none").view(ROWS, STEPS)
    means = {row: float(losses[row, : LENGTHS[row]].mean()) for row in range(ROWS) if WEIGHT[row]}
    found = worst_rows(answers, ("a", "b", "c"), 10, torch.arange(100, 106), {"train": 102, "test": 50})
    assert [each.row for each in found] == sorted(means, key=means.get, reverse=True)
    for each in found:
        step = int(losses[each.row, : LENGTHS[each.row]].argmax())
        chances = output[each.row, step].softmax(0)
        assert each.place == (f"test/{each.row - 2}" if each.row > 1 else f"train/{100 + each.row}")
        assert each.position == step
        assert each.loss == pytest.approx(means[each.row], rel=1e-6)
        assert (each.true, each.predicted) == ("abc"[target[each.row, step]], "abc"[int(chances.argmax())])
        assert each.probability == pytest.approx(float(chances.max()), rel=1e-5)
        assert each.probability_of_true == pytest.approx(float(chances[target[each.row, step]]), rel=1e-5)
