"""Metrics of classes against scikit-learn and torchmetrics: weighted, tied, with absent classes, per position."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from dlcli import Batch, Task
from dlcli.testing.laws.metrics import cut, figure
from dlcli.training.evaluation import statistics_of

ROWS = 80
GENERATOR = torch.Generator().manual_seed(11)


def draw(task, *, outputs, ties, present=None):
    """Outputs, targets and weights of a task; ties: whether outputs are of a few values."""
    output = torch.randn(ROWS, outputs, generator=GENERATOR, dtype=torch.float64) * 2
    output = output.round() if ties else output
    if task is Task.MULTICLASS:
        target = torch.randint(present or outputs, (ROWS,), generator=GENERATOR)
    else:
        target = torch.randint(2, (ROWS, outputs), generator=GENERATOR)
    weight = torch.randint(1, 5, (ROWS,), generator=GENERATOR) / 4
    weight[:7] = 0
    return output, target, weight.double()


SCORES = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}


def by_scikit_learn(name, average, task, output, target, weight):
    z, y, w = (t[weight > 0].numpy() for t in (output, target, weight))
    answers = z.argmax(1) if task is Task.MULTICLASS else z > 0
    if task is Task.BINARY:
        answers, y = answers[:, 0], y[:, 0]
    average = average or ("binary" if task is Task.BINARY else "macro")
    return SCORES[name](y, answers, average=average, sample_weight=w, zero_division=0)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("average", [None, "macro", "micro"])
@pytest.mark.parametrize(
    ("task", "outputs", "present"),
    [(Task.BINARY, 1, None), (Task.MULTICLASS, 4, None), (Task.MULTICLASS, 9, 3), (Task.MULTILABEL, 3, None)],
)
def test_precision_recall_f1_are_scikit_learns(registry, name, average, task, outputs, present):
    metric = registry.create("metric", name, average=average)
    for ties in (False, True):
        rows = draw(task, outputs=outputs, ties=ties, present=present)
        if present:
            rows[0][:, 6:] -= 100  # these classes are neither true nor answered
        expected = by_scikit_learn(name, average, task, *rows)
        for batches in ([rows], [cut(rows, 0, 1), cut(rows, 1, 30), cut(rows, 30, ROWS)]):
            assert figure(metric, *batches).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_precision_recall_f1_are_torchmetrics(registry, name, average):
    function = {"precision": "precision", "recall": "recall", "f1": "f1_score"}[name]
    metric, ones = registry.create("metric", name, average=average), torch.ones(ROWS).double()
    output, target, _ = draw(Task.MULTICLASS, outputs=5, ties=False, present=3)
    expected = getattr(tm, f"multiclass_{function}")(output, target, 5, average=average)
    assert figure(metric, (output, target, ones)).item() == pytest.approx(expected.item(), rel=1e-6)
    output, target, _ = draw(Task.MULTILABEL, outputs=5, ties=False)
    expected = getattr(tm, f"multilabel_{function}")(output.sigmoid(), target, 5, average=average)
    assert figure(metric, (output, target, ones)).item() == pytest.approx(expected.item(), rel=1e-6)


def by_confusion_matrix(task, rows, true=None, answered=None):
    z, y, w = (t[rows[2] > 0].numpy() for t in rows)
    classes = max(z.shape[1], 2)
    answers, y = (z.argmax(1), y) if task is Task.MULTICLASS else (z[:, 0] > 0, y[:, 0])
    shares = sk.confusion_matrix(y, answers, labels=range(classes), sample_weight=w, normalize="true")
    np.fill_diagonal(shares, 0)
    return shares[slice(None) if true is None else [true]][:, slice(None) if answered is None else [answered]].max()


@pytest.mark.parametrize(("task", "outputs"), [(Task.BINARY, 1), (Task.MULTICLASS, 4)])
@pytest.mark.parametrize("only", [{}, {"true": 1}, {"answered": 0}, {"true": 1, "answered": 0}])
def test_confusion_is_the_worst_cell_of_scikit_learns_matrix(registry, task, outputs, only):
    metric = registry.create("metric", "confusion", **only)
    rows = draw(task, outputs=outputs, ties=False)
    expected = by_confusion_matrix(task, rows, **only)
    assert 0 < expected < 1
    for batches in ([rows], [cut(rows, 0, 1), cut(rows, 1, 30), cut(rows, 30, ROWS)]):
        assert figure(metric, *batches).item() == pytest.approx(expected, rel=1e-12)


def test_confusion_of_classes_that_are_not_there(registry):
    rows = draw(Task.MULTICLASS, outputs=4, ties=False, present=3)
    assert math.isnan(figure(registry.create("metric", "confusion", true=3), rows))
    assert 0 < figure(registry.create("metric", "confusion"), rows) <= 1
    with pytest.raises(ValueError, match="true and answered are both class 2, which is no confusion"):
        registry.create("metric", "confusion", true=2, answered=2)
    with pytest.raises(ValueError, match="answered = 4, but classes are numbered from 0 to 3"):
        registry.create("metric", "confusion", answered=4).check(Task.MULTICLASS, 4)
    with pytest.raises(ValueError, match="for 1024 classes at most, but there are 50000; dlcli evaluate tells"):
        registry.create("metric", "confusion").check(Task.MULTICLASS, 50000)
    registry.create("metric", "confusion", true=1).check(Task.BINARY, 1)


@pytest.mark.parametrize("name", SCORES)
def test_nothing_divided_by_nothing_is_zero(registry, name):
    metric = registry.create("metric", name)
    rows = torch.full((5, 1), -1.0).double(), torch.zeros(5, 1).long(), torch.ones(5).double()
    assert figure(metric, rows) == 0
    assert math.isnan(figure(metric, cut(rows, 0, 0)))


RANKS = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


def ranked_by_scikit_learn(name, task, output, target, weight):
    """Each class against the rest, where it and others are there."""
    # Its logarithm, since rounding ties and parts other rows in the probabilities themselves.
    read = output.log_softmax(-1) if task is Task.MULTICLASS else output
    z, y, w = (t[weight > 0].numpy() for t in (read, target, weight))
    true = y[:, None] == np.arange(z.shape[1]) if task is Task.MULTICLASS else y > 0
    there = [c for c in range(z.shape[1]) if 0 < true[:, c].sum() < len(true)]
    return np.mean([RANKS[name](true[:, c], z[:, c], sample_weight=w) for c in there])


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("task", "outputs", "present"),
    [(Task.BINARY, 1, None), (Task.MULTICLASS, 4, None), (Task.MULTICLASS, 6, 3), (Task.MULTILABEL, 3, None)],
)
def test_rank_metrics_are_scikit_learns(registry, name, ties, task, outputs, present):
    metric = registry.create("metric", name)
    rows = draw(task, outputs=outputs, ties=ties, present=present)
    expected = ranked_by_scikit_learn(name, task, *rows)
    for batches in ([rows], [cut(rows, 0, 1), cut(rows, 1, 30), cut(rows, 30, ROWS)]):
        assert figure(metric, *batches).item() == pytest.approx(expected, rel=1e-10)
    if task is Task.MULTICLASS and present is None and name == "auroc" and not ties:
        z, y, w = (t.numpy() for t in (rows[0].softmax(-1), rows[1], rows[2]))
        whole = sk.roc_auc_score(y, z, multi_class="ovr", average="macro", sample_weight=w)
        assert figure(metric, rows).item() == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize("name", RANKS)
def test_rank_metrics_are_torchmetrics(registry, name):
    metric, ones = registry.create("metric", name), torch.ones(ROWS).double()
    output, target, _ = draw(Task.MULTICLASS, outputs=4, ties=False)
    expected = getattr(tm, f"multiclass_{name}")(output, target, 4)
    assert figure(metric, (output, target, ones)).item() == pytest.approx(expected.item(), rel=1e-6)
    output, target, _ = draw(Task.MULTILABEL, outputs=4, ties=True)
    expected = getattr(tm, f"multilabel_{name}")(output.sigmoid(), target, 4)
    assert figure(metric, (output, target, ones)).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", RANKS)
def test_rank_metrics_where_they_are_undefined(registry, name):
    metric, ones = registry.create("metric", name), torch.ones(6).double()
    output = torch.arange(6.0).double()[:, None]
    assert math.isnan(figure(metric, (output, torch.zeros(6, 1), ones)))
    only = figure(metric, (output, torch.ones(6, 1), ones))
    assert only == 1 if name == "average_precision" else math.isnan(only)
    mixed = (torch.arange(6) % 2)[:, None]
    assert math.isnan(figure(metric, (output.where(output != 3, torch.nan), mixed, ones)))
    filler = torch.ones(6).double()
    filler[3] = 0
    assert math.isfinite(figure(metric, (output.where(output != 3, torch.nan), mixed, filler)))


def test_auroc_of_sure_logits_is_not_tied_by_their_probabilities(registry):
    rows = torch.tensor([[50.0], [60.0]]).double(), torch.tensor([[0], [1]]), torch.ones(2).double()
    assert figure(registry.create("metric", "auroc"), rows) == 1


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_is_scikit_learns_and_one_is_accuracy(registry, k):
    metric = registry.create("metric", "top_k", k=k)
    output, target, weight = draw(Task.MULTICLASS, outputs=4, ties=False)
    expected = sk.top_k_accuracy_score(target, output, k=k, sample_weight=weight, labels=range(4))
    assert figure(metric, (output, target, weight)).item() == pytest.approx(expected, rel=1e-12)
    tied = draw(Task.MULTICLASS, outputs=4, ties=True)
    if k == 1:
        assert figure(metric, tied) == figure(registry.create("metric", "accuracy"), tied)
    assert figure(metric, (torch.zeros(4, 4).double(), torch.arange(4), torch.ones(4).double())) == k / 4


def test_top_k_that_is_always_right_is_refused(registry):
    with pytest.raises(ValueError, match="k = 4 of 4 classes is always right: take a k below 4"):
        registry.create("metric", "top_k", k=4).check(Task.MULTICLASS, 4)
    registry.create("metric", "top_k", k=3).check(Task.MULTICLASS, 4)


def test_perplexity_is_exp_of_log_loss(registry):
    output, target, weight = draw(Task.MULTICLASS, outputs=4, ties=False)
    expected = math.exp(sk.log_loss(target, output.softmax(-1), sample_weight=weight, labels=range(4)))
    metric = registry.create("metric", "perplexity")
    assert figure(metric, (output, target, weight)).item() == pytest.approx(expected, rel=1e-10)
    guess = torch.zeros(3, 5).double(), torch.arange(3), torch.ones(3).double()
    assert figure(metric, guess).item() == pytest.approx(5)


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "auroc", "average_precision", "top_k", "perplexity"])
def test_positions_are_rows_and_padding_is_none(registry, name):
    metric = registry.create("metric", name)
    output, target, weight = draw(Task.MULTICLASS, outputs=4, ties=True)
    steps = output.view(16, 5, 4)
    batch = Batch((steps,), target.view(16, 5), weight=weight[:16], lengths=torch.arange(16) % 5 + 1)
    kept = (torch.arange(5) < batch.lengths[:, None]).flatten()
    rows = output[kept], target[kept], weight[:16].repeat_interleave(5)[kept]
    statistics = statistics_of({name: metric}, steps, batch, Task.MULTICLASS)[name]
    torch.testing.assert_close(metric.compute(statistics), figure(metric, rows))
