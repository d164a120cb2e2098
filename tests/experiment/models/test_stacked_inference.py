"""Combinations that are computed with stacked members give what they give member by member, come what may."""

import copy
import io
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.loss import Loss
from dlcli.contracts.preprocessor import FittedPreprocessor, Preprocessor
from dlcli.contracts.task import Task
from dlcli.experiment.load import load
from dlcli.experiment.models import stacked_inference as room
from dlcli.experiment.models.combination import CombinedModel, Wiring
from dlcli.experiment.models.model import Model, ModelDescription
from dlcli.experiment.train import train
from dlcli.layers.combining import MeanOfMembers

FEATURES = Field("x", "input", "features", (6,), "float32")
IMAGE = Field("x", "input", "image", (2, 8, 8), "uint8")
TARGET = Field("y", "target", "categorical", (), "int64", classes=("a", "b", "c"))


class Recurrent(Architecture):
    """A network that vmap cannot take."""

    name: ClassVar[str] = "recurrent"

    def build(self, io):
        return Unrolled(io)


class Unrolled(nn.Module):
    def __init__(self, io):
        super().__init__()
        self.lstm = nn.LSTM(1, io.outputs, batch_first=True)

    def forward(self, x, **extra):
        return self.lstm(x.unsqueeze(-1))[0][:, -1]


class Branching(Architecture):
    """A network that looks at its values."""

    name: ClassVar[str] = "branching"

    def build(self, io):
        return Conditional(nn.Linear(6, io.outputs))


class Conditional(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, **extra):
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


@pytest.fixture(autouse=True)
def _whatever_it_takes(monkeypatch):
    """What a machine takes for so little is no matter here."""
    monkeypatch.setattr(room, "GAIN", float("inf"))


@pytest.fixture
def member(plugins):
    """Make a model with its own weights, preprocessing and columns."""

    def make(seed, architecture="mlp", *, field=FEATURES, columns=None, preprocess=True, inputs=None, **fields):
        registry = plugins.registry
        if isinstance(architecture, str):
            architecture = registry.component(Architecture, {"name": architecture, **fields})
        standardize = registry.component(Preprocessor, "standardize")
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(40, *field.shape, generator=generator) * (1 + seed) + seed
        inputs = inputs or (field,)
        state = {key: tensor.float() for key, tensor in standardize.fit(rows).items()}
        fitted = {field.name: (FittedPreprocessor(standardize, state),)} if preprocess else {}
        seen = tuple(
            Field(f.name, "input", f.kind, (len(columns),) if columns and f is field else f.shape, "float32")
            for f in inputs
        )
        description = ModelDescription(
            architecture=architecture,
            io=InputOutput(seen, Task.MULTICLASS, 3, TARGET.classes),
            inputs=inputs,
            conditions=(),
            target=TARGET,
            preprocess={name: tuple(s.component for s in chain) for name, chain in fitted.items()},
            loss=registry.component(Loss, "cross_entropy"),
            metrics={},
            columns={field.name: tuple(columns)} if columns else {},
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = architecture.build(description.io)
            for module in network.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    nn.init.normal_(module.running_mean)
                    nn.init.uniform_(module.running_var, 0.5, 2)
        return Model(description, network, fitted)

    return make


def combined(*members, **settings):
    parts = {f"member-{i}": model for i, model in enumerate(members)}
    return CombinedModel(parts, MeanOfMembers(Task.MULTICLASS), Wiring(tuple(parts)), **settings)


@torch.no_grad()
def one_by_one(model, *inputs):
    """The mean of probabilities, by hand."""
    outputs = [model.part(i)(*inputs).double().softmax(-1) for i in model.wiring.members]
    return torch.stack(outputs).mean(0).clamp(1e-7, 1 - 1e-7).log().float()


@torch.no_grad()
def check(model, *inputs, captures=1, calls=4):
    """Every call, plain or replayed, gives the mean of the members; so many shapes are replayed at the end."""
    for _ in range(calls):
        torch.testing.assert_close(model(*inputs), one_by_one(model, *inputs), rtol=1e-5, atol=2e-6)
    assert model._stacked.captures == captures


def rows(count=16, field=FEATURES, seed=0):
    return torch.randn(count, *field.shape, generator=torch.Generator().manual_seed(seed)) * 2


def test_members_with_their_own_preprocessing_and_columns(member):
    columns = ([0, 1, 4], [5, 2, 3], [1, 0, 5])
    check(combined(*(member(seed, columns=own, hidden=[7]) for seed, own in enumerate(columns))), rows())


@pytest.mark.parametrize("preprocess", [True, False])
def test_a_cnn_with_batch_normalization_and_dropout_on_whole_numbers(member, preprocess):
    fields = {"channels": [4], "hidden": [8], "norm": "batch", "dropout": 0.4}
    members = [member(seed, "cnn", field=IMAGE, preprocess=preprocess, **fields) for seed in range(3)]
    images = torch.randint(0, 255, (20, *IMAGE.shape), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    check(combined(*members), images)


def test_a_rate_of_dropout_may_differ_and_float64_comes_in(member):
    check(combined(*(member(seed, dropout=seed / 10, norm="batch") for seed in range(4))), rows().double())


def test_shared_preprocessing_is_done_once(member):
    first, *others = (member(seed, hidden=[9]) for seed in range(3))
    for other in others:
        other.preprocess.load_state_dict(first.preprocess.state_dict())
    model = combined(first, *others)
    check(model, rows())
    (way,) = model._stacked._ways.values()
    subtractions = [n for n in way.replay.run.__self__.graph.nodes if n.target is torch.ops.aten.sub.Tensor]
    assert [tuple(node.meta["val"].shape) for node in subtractions] == [(16, 6)]
    with torch.no_grad():
        others[0].preprocess[0][0].mean.add_(1)  # then each has its own
    check(model, rows())


def test_mixed_structures_are_groups_and_the_rest_stays(member):
    wide, narrow = {"hidden": [12]}, {"hidden": [5, 5]}
    members = [member(0, **wide), member(1, **narrow), member(2, **wide), member(3, **narrow), member(4, hidden=[3])]
    model = combined(*members, temperature=2.0)
    inner = combined(*members)
    with torch.no_grad():
        for _ in range(4):
            expected = torch.log_softmax(one_by_one(inner, rows()) / 2, -1)
            torch.testing.assert_close(model(rows()), expected, rtol=1e-5, atol=2e-6)
    assert model._stacked._groups == [("member-0", "member-2"), ("member-1", "member-3")]
    assert model._stacked.captures == 1


def test_members_that_are_fed_and_combinations_inside(member):
    fed_field = Field("said", "input", "features", (3,), "float32")
    base = [member(seed) for seed in range(3)]
    final = member(3, inputs=(FEATURES, fed_field))
    final_too = member(4, inputs=(FEATURES, fed_field))
    parts = {**{f"base-{i}": model for i, model in enumerate(base)}, "final": final, "other": final_too}
    groups = (("base-0", "base-1", "base-2"),)
    fed = {name: {"said": groups} for name in ("final", "other")}
    stack = CombinedModel(parts, MeanOfMembers(Task.MULTICLASS), Wiring(("final", "other"), fed))
    outer = combined(stack, member(5), member(6))
    with torch.no_grad():
        said = torch.stack([model(rows()).softmax(-1) for model in base]).mean(0)
        expected = torch.stack([model(rows(), said).softmax(-1) for model in (final, final_too)]).mean(0)
        others = [expected, *(outer.part(f"member-{i}")(rows()).softmax(-1) for i in (1, 2))]
        for _ in range(4):
            torch.testing.assert_close(stack(rows()).exp(), expected, rtol=1e-5, atol=2e-6)
            torch.testing.assert_close(outer(rows()).exp(), torch.stack(others).mean(0), rtol=1e-5, atol=2e-6)
    assert (stack._stacked.captures, outer._stacked.captures) == (1, 1)
    assert stack._stacked._groups == [groups[0]]


def _in_place(model):
    model.part("member-1").network.head.weight.mul_(3)


def _optimizer(model):
    parameters = list(model.part("member-0").parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    torch.optim.Adam(parameters, lr=0.1).step()


def _other_state(model):
    first, last = model.part("member-0"), model.part("member-2")
    first.load_state_dict(last.state_dict())


def _assigned_state(model):
    state = {name: tensor * 2 for name, tensor in model.part("member-0").state_dict().items()}
    model.part("member-0").load_state_dict(state, assign=True)


def _preprocessing(model):
    model.part("member-2").preprocess[0][0].mean.add_(5)


def _parameter(model):
    head = model.part("member-0").network.head
    head.bias = nn.Parameter(head.bias + torch.tensor([4.0, 0, 0]))


def _data(model):
    head = model.part("member-0").network.head
    head.bias.data = head.bias.data + torch.tensor([4.0, 0, 0])


def _module(model):
    model.part("member-0").network.head = nn.Linear(7, 3).eval()


def _there_and_back(model):
    model.double().float()
    model.part("member-0").network.head.weight.mul_(2)


@pytest.mark.parametrize(
    "change",
    [_in_place, _optimizer, _other_state, _assigned_state, _preprocessing, _parameter, _data, _module, _there_and_back],
)
def test_changes_are_noticed_at_once(member, change):
    model = combined(*(member(seed, hidden=[7]) for seed in range(3)))
    check(model, rows())
    before = one_by_one(model, rows())
    with torch.no_grad():
        change(model)
    assert not torch.allclose(one_by_one(model, rows()), before, atol=1e-3)
    check(model, rows())


def test_a_hook_and_dropout_that_is_switched_on_have_the_plain_computation(member):
    model = combined(*(member(seed, dropout=0.5) for seed in range(3)))
    check(model, rows())
    seen = []
    handle = model.part("member-1").network.head.register_forward_hook(lambda *arguments: seen.append(1))
    with torch.no_grad():
        model(rows())
        handle.remove()
        model(rows())
        assert len(seen) == 1
        model.part("member-1").train()
        assert not torch.equal(model(rows()), model(rows()))
        model.eval()
    check(model, rows())


def test_gradients_flow_to_inputs_and_members(member):
    model = combined(*(member(seed) for seed in range(3)))
    check(model, rows())
    x = rows().requires_grad_()
    model(x)[:, 0].sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in model.parameters())
    per_row = torch.func.vmap(torch.func.grad(lambda row: model(row[None])[0, 0]))(x.detach())
    torch.testing.assert_close(per_row, x.grad, rtol=1e-4, atol=1e-6)


def test_every_shape_is_captured_at_its_second_call_and_few_are(member, monkeypatch):
    monkeypatch.setattr(room, "TRIED", 2)
    model = combined(*(member(seed) for seed in range(3)))
    with torch.no_grad():
        model(rows(16))
        assert model._stacked.captures == 0
    check(model, rows(16), captures=1)
    check(model, rows(5), captures=2)
    check(model, rows(1), captures=2)
    for count in range(20, 40):
        check(model, rows(count), captures=2, calls=1)
    check(model, rows(16).t().contiguous().t(), captures=2)
    check(model, rows(16, seed=1), captures=2)


def test_what_is_not_quicker_stays_as_it_is(member, monkeypatch):
    monkeypatch.setattr(room, "GAIN", 0.0)
    model = combined(*(member(seed) for seed in range(3)))
    check(model, rows(), captures=0)
    assert model._stacked.failed == {}
    assert [way.slower for way in model._stacked._ways.values()] == [True]
    assert model._stacked._stacked is None  # nothing is kept for nothing


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [(Recurrent(), "torch computes the LSTM of one network at a time"), (Branching(), "data-dependent")],
)
def test_networks_that_cannot_be_computed_together_are_not(member, architecture, reason):
    members = [member(seed, architecture) for seed in range(2)]
    model = combined(*members)
    check(model, rows(), captures=0)
    ((group, why),) = model._stacked.failed.items()
    assert group == ("member-0", "member-1")
    assert re.search(reason, why), why


def test_one_group_that_cannot_leaves_the_other(member):
    model = combined(*(member(seed, Recurrent()) for seed in range(2)), member(2), member(3))
    check(model, rows(), calls=6)
    assert list(model._stacked.failed) == [("member-0", "member-1")]


def test_results_that_differ_are_refused(member, monkeypatch):
    right = room._captured

    def wrong(stacked, call):
        run, standing = right(stacked, call)
        return lambda *tensors: [run(*tensors)[0] + 0.01], standing

    monkeypatch.setattr(room, "_captured", wrong)
    model = combined(*(member(seed) for seed in range(3)))
    check(model, rows(), captures=0)
    assert list(model._stacked.failed.values()) == ["their outputs together are not those that they have one by one"]


def test_nothing_alike_is_never_tried(member):
    model = combined(member(0, hidden=[3]), member(1, hidden=[4]))
    check(model, rows(), captures=0)


def test_inference_mode(member):
    model = combined(*(member(seed) for seed in range(3)))
    with torch.inference_mode():
        for _ in range(4):
            torch.testing.assert_close(model(rows()), one_by_one(model, rows()), rtol=1e-5, atol=2e-6)
    assert model._stacked.captures == 1
    check(model, rows())
    with torch.inference_mode():
        made_there = combined(*(member(seed) for seed in range(3)))
        for _ in range(3):
            torch.testing.assert_close(made_there(rows()), one_by_one(model, rows()), rtol=1e-5, atol=2e-6)
    assert made_there._stacked.captures == 0


def test_copies_and_files_are_those_of_a_model_that_was_never_called(member):
    model = combined(*(member(seed) for seed in range(3)))
    names = list(model.state_dict())
    before = io.BytesIO()
    torch.save(model.state_dict(), before)
    check(model, rows())
    after = io.BytesIO()
    torch.save(model.state_dict(), after)
    assert list(model.state_dict()) == names
    assert len(after.getvalue()) == len(before.getvalue())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin._stacked.captures == 0
        with torch.no_grad():
            twin.part("member-0").network.head.bias.add_(1)
        check(twin, rows())
    check(model, rows())


def test_threads_may_share_a_model(member):
    model = combined(*(member(seed) for seed in range(3)))
    expected = one_by_one(model, rows())

    def work(_):
        with torch.no_grad():
            return [model(rows()) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for outputs in pool.map(work, range(4)):
            for own in outputs:
                torch.testing.assert_close(own, expected, rtol=1e-5, atol=2e-6)
    assert model._stacked.captures == 1


def test_exported_it_is_the_plain_computation(member):
    model = combined(*(member(seed) for seed in range(3)))
    check(model, rows())
    with torch.no_grad():
        exported = torch.export.export(model, (rows(),)).module()
        torch.testing.assert_close(exported(rows()), one_by_one(model, rows()), rtol=1e-5, atol=2e-6)


def test_other_weights_for_one_call(member):
    model = combined(*(member(seed) for seed in range(3)))
    check(model, rows())
    state = {name: tensor * 2 for name, tensor in model.state_dict().items()}
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    with torch.no_grad():
        for _ in range(3):
            got = torch.func.functional_call(model, state, (rows(),))
            torch.testing.assert_close(got, one_by_one(other, rows()), rtol=1e-5, atol=2e-6)
    check(model, rows())


def test_a_run_of_seeds_and_a_clean_process_agree(folder, plugins, recipe):
    run = train({**recipe(), "train": {**recipe()["train"], "seeds": 4, "epochs": 1}}, plugins=plugins).run
    model, fresh = load(run, plugins=plugins), load(run, plugins=plugins)
    images = torch.randint(0, 17, (32, *model.inputs[0].shape), generator=torch.Generator().manual_seed(2))
    expected = fresh.probabilities(images)
    for _ in range(4):
        torch.testing.assert_close(model.probabilities(images), expected, rtol=1e-5, atol=1e-6)
    assert model._stacked.captures == 1
    assert fresh._stacked.captures == 0
