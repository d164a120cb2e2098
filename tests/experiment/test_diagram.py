from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import Field, InputOutput
from dlcli.contracts.task import Task
from dlcli.errors import UsageError
from dlcli.experiment.build import build
from dlcli.experiment.diagram.trace import trace
from dlcli.experiment.prepare import prepare
from dlcli.layers.scaled_target import ScaledTarget
from dlcli.recipe.load import load_recipe
from dlcli.report.diagram_rows import rows_of


def field(name, kind, *shape, role="input"):
    return Field(name, role, kind, shape, "float32")


def io(*inputs, conditions=(), outputs=10, per_position=False):
    names = tuple(str(number) for number in range(outputs))
    return InputOutput(inputs, Task.MULTICLASS, outputs, names, conditions, per_position)


def traced(network, about):
    torch.manual_seed(0)
    tensors = [tuple(torch.randn(4, *f.shape) for f in fields) for fields in (about.inputs, about.conditions)]
    batch = Batch(tensors[0], torch.zeros(4), conditions=tensors[1])
    return trace(SimpleNamespace(io=about), network, batch, "title")


def graph_of(plugins, name, about, **parameters):
    return traced(plugins.registry.create("architecture", name, **parameters).build(about), about)


def labels(graph):
    return [block.label for block in graph.blocks]


IMAGE = field("x", "image", 3, 64, 64)
SEQUENCE = field("x", "sequence", 12, 5)
AGE = field("age", "features", 2, role="condition")


@pytest.mark.parametrize(
    ("name", "about", "parameters"),
    [
        ("linear", io(field("x", "features", 7)), {}),
        ("svm", io(field("x", "features", 7)), {}),
        ("mlp", io(field("x", "features", 7), conditions=(AGE,)), {"hidden": [8, 8], "norm": "batch"}),
        ("mlp", io(field("x", "features", 7)), {"hidden": [8, 8], "residual": True, "stochastic_depth": 0.1}),
        ("mlp", io(field("x", "features", 7)), {"activation": "maxout", "hidden": [8]}),
        ("cnn", io(IMAGE), {"dropout": 0.1}),
        ("resnet", io(IMAGE, conditions=(AGE,)), {"width": 4}),
        ("resnet", io(IMAGE), {"depth": 50, "width": 4}),
        ("lstm", io(SEQUENCE), {"bidirectional": True, "layers": 2, "norm": "layer"}),
        ("gru", io(SEQUENCE, per_position=True), {}),
        ("transformer", io(SEQUENCE, conditions=(AGE,)), {"positions": "learned", "width": 8}),
    ],
)
def test_every_parameter_is_somewhere_and_every_block_but_inputs_reads_earlier_ones(plugins, name, about, parameters):
    graph = graph_of(plugins, name, about, **parameters)
    assert sum(block.parameters for block in graph.blocks) == graph.parameters > 0
    for place, block in enumerate(graph.blocks):
        assert all(source < place for source in block.sources)
        assert bool(block.sources) == (block.kind not in ("input", "condition", "parameter"))
    assert graph.blocks[-1].kind == "output"
    assert graph.blocks[-1].shape[-1] == 10
    read = {source for block in graph.blocks for source in block.sources}
    assert read == set(range(len(graph.blocks) - 1))


def test_blocks_have_the_names_of_the_layer_table_and_its_shapes(folder, plugins, recipe):
    given = recipe(model={"architecture": "cnn", "channels": [4], "norm": "batch", "hidden": [8]})
    checked = load_recipe(given, plugins.registry)
    member = prepare(checked, plugins.registry).member
    graph = traced(member.architecture.build(member.io), member.io)
    found = {block.name: (block.shape, block.parameters) for block in graph.blocks if block.name and block.sources}
    # A dropout that drops nothing is called, but not drawn.
    layers = [layer for layer in build(given, plugins=plugins).layers if layer.kind != "Dropout"]
    assert found == {layer.name: (layer.output_shape, layer.parameters) for layer in layers}


@pytest.mark.parametrize("name", ["linear", "svm"])
def test_what_does_nothing_is_not_drawn(plugins, name):
    graph = graph_of(plugins, name, io(field("x", "features", 7)))
    assert labels(graph) == ["features", "Linear 7 → 10", "output"]


def test_a_residual_block_is_a_sum_of_what_went_in_and_what_came_out(plugins):
    graph = graph_of(plugins, "resnet", io(IMAGE), depth=None, blocks=[1, 1], width=4)
    sums = [block for block in graph.blocks if block.label == "+"]
    stem = next(place for place, block in enumerate(graph.blocks) if block.name == "stem.activation")
    assert stem in sums[0].sources
    shortcut = next(p for p, b in enumerate(graph.blocks) if b.name == "stages.1.0.sum.shortcut.normalization")
    assert shortcut in sums[1].sources


def test_conditions_scale_and_shift(plugins):
    dose = field("dose", "features", 1, role="condition")
    about = io(field("x", "features", 7), conditions=(AGE, dose))
    graph = graph_of(plugins, "mlp", about, hidden=[8], conditions=[{"scale": "age", "shift": "dose"}])
    places = {block.name: place for place, block in enumerate(graph.blocks)}
    assert graph.blocks[places["blocks.0.normalization.scale"]].sources == (places["age"],)
    assert graph.blocks[places["blocks.0.normalization.shift"]].sources == (places["dose"],)
    product = next(block for block in graph.blocks if block.label == "×")
    assert product.sources == (places["blocks.0.affine"], places["blocks.0.normalization.scale"])


def test_two_inputs_are_put_side_by_side(plugins):
    graph = graph_of(plugins, "mlp", io(field("a", "features", 3), field("b", "features", 4)), hidden=[8])
    assert labels(graph)[:3] == ["features", "features", "concatenate"]
    assert graph.blocks[2].sources == (0, 1)
    assert graph.blocks[2].shape == (7,)


def test_resnets_and_transformers_fit_on_a_page(plugins):
    """The published numbers of blocks: 3, 4, 6, 3 bottlenecks of which the first of each stage differs; 6 encoders."""
    _, repeats = rows_of(graph_of(plugins, "resnet", io(IMAGE), depth=50, width=4).blocks)
    assert [repeat.times for repeat in repeats] == [2, 3, 5, 2]
    rows, repeats = rows_of(graph_of(plugins, "transformer", io(SEQUENCE), layers=6, width=8, dropout=0.1).blocks)
    assert [(repeat.times, repeat.name) for repeat in repeats] == [(6, "blocks.0 … blocks.5")]
    assert len(rows) < 16


class Functional(nn.Module):
    """Functions instead of layers, a parameter of its own, a buffer, a skip over everything, an unused layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(10, 4 * 64))
        self.bias = nn.Parameter(torch.zeros(4, 1, 1))
        self.register_buffer("shift", torch.ones(4, 1, 1))
        self.unused = nn.Linear(3, 3)

    def forward(self, x, **extra):
        self.unused(x[:, 0, 0, :3])
        y = F.relu(self.first(x)) + self.bias
        y = F.max_pool2d(y, 8) - self.shift
        return F.linear(y.flatten(1), self.weight)


def test_functions_are_seen_as_well_as_layers():
    graph = traced(Functional(), io(IMAGE))
    assert labels(graph) == [
        "image", "Conv2d 3×3, 3 → 4", "relu", "learned", "+", "max_pool2d", "fixed", "−", "flatten", "linear", "output",
    ]  # fmt: skip
    by_label = {block.label: block for block in graph.blocks}
    assert by_label["linear"].parameters == 2560
    assert by_label["learned"].name == "bias"
    assert by_label["fixed"].parameters == 0
    assert by_label["−"].sources == (5, 6)


class Hiding(nn.Module):
    """Makes a tensor from another behind torch's back."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(7, 8), nn.Linear(8, 10)

    def forward(self, x, **extra):
        return self.last(torch.from_numpy(self.first(x).detach().numpy().copy()))


def test_what_is_hidden_comes_from_the_block_before_it():
    graph = traced(Hiding(), io(field("x", "features", 7)))
    assert [block.sources for block in graph.blocks] == [(), (0,), (1,), (2,)]


class Torchs(nn.Module):
    """torch's own encoder, whose layers a fast path would pass by."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.first, self.encoder, self.head = nn.Linear(5, 8), nn.TransformerEncoder(layer, 3), nn.Linear(8, 10)

    def forward(self, x, **extra):
        return self.head(self.encoder(self.first(x))[:, -1])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_torchs_own_encoder_is_three_equal_parts():
    rows, repeats = rows_of(traced(Torchs(), io(SEQUENCE)).blocks)
    assert [repeat.times for repeat in repeats] == [3]
    assert "MultiheadAttention, 2 heads" in [row.block.label for row in rows]
    assert [row.block.label for row in rows if row.block.label == "+"] == ["+", "+"]


def test_the_network_is_left_as_it_was(plugins):
    network = plugins.registry.create("architecture", "mlp", norm="batch", dropout=0.5).build(
        io(field("x", "features", 7))
    )
    network = ScaledTarget(network.train(), 10)
    network.network.head.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    streams = torch.random.get_rng_state()
    about = io(field("x", "features", 7))
    batch = Batch((torch.ones(4, 7),), torch.zeros(4))
    graph = trace(SimpleNamespace(io=about), network, batch, "title")
    assert graph.blocks[-2].name == "network.head"
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), streams)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_build_draws_and_replaces_and_is_the_same_with_it(folder, plugins, recipe):
    def built(**options):
        return replace(build(recipe(), plugins=plugins, **options), available_bytes=None)  # that changes all the time

    first = built(diagram=Path("net.svg"))
    drawn = Path("net.svg").read_text()
    assert drawn.startswith("<svg ")
    assert ">small: mlp</text>" in drawn
    Path("net.svg").write_text("old")
    built(diagram=Path("net.svg"))
    assert Path("net.svg").read_text() == drawn
    assert first == built()
    assert [path.name for path in folder.iterdir()] == ["net.svg"]


def test_lengths_and_regression_are_drawn(folder, plugins):
    generator = np.random.default_rng(0)
    with h5py.File("rows.h5", "w") as file:
        for split, rows in (("train", 8), ("val", 4)):
            file[f"{split}/x"] = generator.normal(size=(rows, 6, 3)).astype("float32")
            file[f"{split}/x"].attrs["kind"] = "sequence"
            file[f"{split}/n"] = generator.integers(1, 7, rows)
            file[f"{split}/n"].attrs.update(role="length", of="x")
            file[f"{split}/y"] = generator.normal(size=(rows, 2)).astype("float32")
    given = {"name": "rows", "data": {"path": "rows.h5", "scale_target": True}, "model": {"architecture": "lstm"}}
    build(given, diagram=Path("net.SVG"), plugins=plugins)
    assert ">LSTM 3 → 128</text>" in Path("net.SVG").read_text()


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("net.png", r"their names end with \.svg; got --diagram net\.png"),
        ("net", r"their names end with \.svg; got --diagram net"),
        ("no/such.svg", r"--diagram no/such\.svg: there is no folder no"),
        ("folder.svg", r"--diagram folder\.svg is a folder"),
    ],
)
def test_where_no_diagram_can_be_left_is_said_before_anything_is_read(folder, plugins, target, match):
    Path("folder.svg").mkdir()
    with pytest.raises(UsageError, match=match):
        build({}, diagram=Path(target), plugins=plugins)
