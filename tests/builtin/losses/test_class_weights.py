import pytest
import torch
from torch.nn import functional as F

from dlcli import Batch, Task
from dlcli.training.objective import batch_loss

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = torch.randn(30, 3, generator=GENERATOR)
CLASSES = torch.randint(3, (30,), generator=GENERATOR)
WEIGHTS = [0.5, 3.0, 0.0]


def reduced(loss, output, target, weight=None):
    """The loss of a batch as training reduces it."""
    return batch_loss(loss, output, (target,), None, Batch((output,), target, weight=weight))


def test_the_weighted_mean_is_torchs(registry):
    loss = registry.create("loss", "cross_entropy", class_weights=WEIGHTS)
    expected = F.cross_entropy(LOGITS, CLASSES, weight=torch.tensor(WEIGHTS))
    torch.testing.assert_close(reduced(loss, LOGITS, CLASSES), expected)
    steps = LOGITS.view(6, 5, 3), CLASSES.view(6, 5)
    torch.testing.assert_close(reduced(loss, *steps), expected)


def test_row_weights_multiply_class_weights(registry):
    rows = torch.rand(30, generator=GENERATOR)
    own = rows * torch.tensor(WEIGHTS)[CLASSES]
    loss = registry.create("loss", "cross_entropy", class_weights=WEIGHTS, label_smoothing=0.1)
    expected = own @ F.cross_entropy(LOGITS, CLASSES, reduction="none", label_smoothing=0.1) / own.sum()
    torch.testing.assert_close(reduced(loss, LOGITS, CLASSES, rows), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_binary_weights_are_those_of_two_classes(registry, dtype):
    output, target = LOGITS[:, :1], (CLASSES[:, None] > 0).to(dtype)
    binary = registry.create("loss", "binary_cross_entropy", class_weights=[1.0, 4.0])
    multiclass = registry.create("loss", "cross_entropy", class_weights=[1.0, 4.0])
    pair = torch.cat([torch.zeros_like(output), output], 1)
    torch.testing.assert_close(reduced(binary, output, target), reduced(multiclass, pair, target[:, 0].long()))


def test_weights_of_one_are_no_weights(registry):
    plain, ones = (registry.create("loss", "cross_entropy", class_weights=w) for w in (None, [1.0, 1.0, 1.0]))
    assert plain.weights(CLASSES) is None
    torch.testing.assert_close(reduced(ones, LOGITS, CLASSES), reduced(plain, LOGITS, CLASSES))


def test_weights_stack(registry):
    loss = registry.create("loss", "cross_entropy", class_weights=WEIGHTS)
    targets = torch.stack([CLASSES, CLASSES.flip(0)])
    torch.testing.assert_close(torch.vmap(loss.weights)(targets), torch.tensor(WEIGHTS)[targets])


@pytest.mark.parametrize(
    ("name", "parameters", "task", "outputs", "message"),
    [
        ("cross_entropy", {"class_weights": [1.0, 2.0]}, Task.MULTICLASS, 3, "has 2 numbers, but the target has 3 cla"),
        ("cross_entropy", {"class_weights": [0.0, 0.0]}, Task.MULTICLASS, 2, "all 0, which leaves nothing to learn"),
        ("binary_cross_entropy", {"class_weights": [1.0]}, Task.BINARY, 1, "has 1 numbers, but the target has 2 cla"),
        ("binary_cross_entropy", {"class_weights": [1.0, 1.0]}, Task.MULTILABEL, 2, "set positive_weight, one a label"),
        ("binary_cross_entropy", {"positive_weight": [2.0]}, Task.BINARY, 1, "set class_weights = "),
        ("binary_cross_entropy", {"positive_weight": [2.0]}, Task.MULTILABEL, 3, "has 1 numbers, but .* has 3 labels"),
        ("focal", {"alpha": 0.5}, Task.MULTICLASS, 3, "a multiclass target does not have: leave it out"),
    ],
)
def test_what_does_not_fit_the_data(registry, name, parameters, task, outputs, message):
    with pytest.raises(ValueError, match=message):
        registry.create("loss", name, **parameters).check(task, outputs)
