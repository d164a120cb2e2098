"""How rows go by: batches, blocks, and what a network says that cannot take them."""

import numpy as np
import pytest
import torch

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import DataError, TrainingError
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.prediction.predictor import Predictor
from dlcli.experiment.prediction.stream import answers, match_source, open_rows
from dlcli.plugins import load_plugins

FEATURES = Field("x", "input", "features", (3,), "float32")
TOKENS = Field("x", "input", "tokens", (3,), "int64")


def stream(path, field, answer, batch_size=None):
    target = Field("y", "target", "features", (1,), "float32")
    interface = Interface((field,), target, Task.REGRESSION, False, (), ("prediction",))
    predictor = Predictor("one", interface, {}, {}, answer)
    source = open_rows(path, predictor, load_plugins())
    return list(answers(predictor, source, match_source(interface.fields, source, "all"), "all", batch_size))


@pytest.mark.parametrize(("columns", "asked", "most"), [(3, None, 1024), (3, 7, 7), (20_000, None, 419)])
def test_batches_are_as_large_as_asked_or_as_is_reasonable(tmp_path, columns, asked, most):
    np.savez(tmp_path / "x.npz", x=np.ones((1500, columns), "float32"))
    seen = []

    def answer(rows):
        seen.append(len(rows["x"]))
        return {"prediction": rows["x"].sum(dim=1, keepdim=True)}

    field = Field("x", "input", "features", (columns,), "float32")
    found = stream(tmp_path / "x.npz", field, answer, asked)
    assert max(seen) == most
    assert sum(seen) == 1500
    assert np.concatenate([rows.rows for rows in found]).tolist() == list(range(1500))
    assert np.concatenate([rows.prediction for rows in found]).tolist() == [[columns]] * 1500


@pytest.mark.parametrize(
    ("field", "trouble", "error", "message"),
    [
        (FEATURES, torch.OutOfMemoryError("no"), TrainingError, "memory ran out with 2 rows at once; .*--batch-size"),
        (TOKENS, IndexError("index out of range"), DataError, r": x holds 5, which the model does not know"),
        (TOKENS, RuntimeError("a fault"), RuntimeError, "^a fault$"),
    ],
)
def test_what_a_network_cannot_take(tmp_path, field, trouble, error, message):
    np.savez(tmp_path / "x.npz", x=np.arange(6).reshape(2, 3))

    def answer(rows):
        raise trouble

    with pytest.raises(error, match=message):
        stream(tmp_path / "x.npz", field, answer)
