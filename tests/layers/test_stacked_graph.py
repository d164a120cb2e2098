from functools import partial

import pytest
import torch
from torch import nn

from dlcli import AffineBlock
from dlcli.layers import stacked_operations
from dlcli.layers.program import CannotExportError, export_program
from dlcli.layers.stacked_graph import StackedGraph
from dlcli.plugins import load_plugins

FEATURES, IMAGES, STEPS = (8, 6), (8, 4, 8, 8), (8, 7, 6)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(6, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.embedding(x).mean(1))


class Shapes(nn.Module):
    """Joins, splits, chooses and reshapes."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        pair = torch.cat([x, self.first(x)], 1).chunk(2, 1)
        most = torch.stack(pair, 0).amax(0)
        chosen = torch.where(most > 0, most, self.second(most) * 0.1)
        return chosen.view(x.shape[0], 2, 3).transpose(1, 2).permute(0, 2, 1).flatten(1)[:, 1:].softmax(-1)


class Products(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix, self.vector = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(4))

    def forward(self, x):
        return torch.addmm(self.vector, x, self.matrix) @ self.vector


class Shared(nn.Module):
    """Has a buffer that all members share, and computes with it before anything differs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((6,), 0.5))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head((x - self.mean).relu())


def chain(*parts):
    return lambda: nn.Sequential(*(part() for part in parts))


def linear():
    return nn.Linear(6, 6)


def convolution(**options):
    return lambda: nn.Conv2d(4, 4, 3, **options)


BATCHED = {
    "perceptron": (chain(linear, nn.ReLU, linear), FEATURES),
    "features with batch norm": (chain(linear, lambda: nn.BatchNorm1d(6)), FEATURES),
    "convolutions": (
        chain(
            convolution(padding=1, groups=2),
            lambda: nn.MaxPool2d(2),
            convolution(padding="same", stride=1),
            lambda: nn.BatchNorm2d(4),
            lambda: nn.ReLU(inplace=True),
            lambda: nn.AvgPool2d(2),
            nn.Flatten,
            lambda: nn.Linear(16, 3),
        ),
        IMAGES,
    ),
    "transposed convolution": (chain(convolution(stride=2), lambda: nn.ConvTranspose2d(4, 3, 3)), IMAGES),
    "adaptive pooling": (chain(convolution(), lambda: nn.AdaptiveAvgPool2d(1)), IMAGES),
    "group norm": (chain(convolution(), lambda: nn.GroupNorm(2, 4)), IMAGES),
    "instance norm": (chain(convolution(), lambda: nn.InstanceNorm2d(4, affine=True)), IMAGES),
    "layer norm, root mean square norm": (chain(linear, lambda: nn.LayerNorm(6), lambda: nn.RMSNorm(6)), STEPS),
    "transformer": (lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), STEPS),
    "convolution over steps": (chain(lambda: nn.Conv1d(7, 4, 3), lambda: nn.PReLU(4), lambda: nn.MaxPool1d(2)), STEPS),
    "gated": (chain(linear, lambda: nn.GLU(1)), FEATURES),
    "shapes": (Shapes, FEATURES),
    "shared": (Shared, FEATURES),
}
ONE_BY_ONE = {"recurrent": (Recurrent, STEPS, "gru"), "products": (Products, FEATURES, "matmul")}


def members(make, count=3):
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        module = make().eval()
        with torch.no_grad():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                if tensor.is_floating_point() and name != "mean":
                    tensor.add_(torch.rand_like(tensor) * 0.3)
        found.append(module)
    return found


@pytest.fixture
def fallbacks(monkeypatch):
    """The operations that were carried out member by member."""
    seen = []
    original = stacked_operations._one_by_one

    def spy(target, *rest):
        seen.append(str(target))
        return original(target, *rest)

    monkeypatch.setattr(stacked_operations, "_one_by_one", spy)
    return seen


@torch.no_grad()
def assert_stacks(make, x, steps=None, rtol=1e-5, atol=2e-6):
    """A stack, and the program recorded of it, give what each member gives, for other numbers of rows too."""
    modules = members(make)
    stack = StackedGraph(modules, {"x": x}, steps or {}).eval()
    program = export_program(stack, {"x": x}, steps or {}).module()
    rows = torch.cat([x, x.flip(0)])
    for part in (rows, rows[:1], rows[2:7]):
        expected = torch.stack([module(part) for module in modules])
        torch.testing.assert_close(stack(part), expected, rtol=rtol, atol=atol)
        torch.testing.assert_close(program(part), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", BATCHED)
def test_members_are_computed_by_batched_operations(name, fallbacks):
    make, shape = BATCHED[name]
    assert_stacks(make, torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert not fallbacks


REGISTRY = load_plugins(third_parties=False).registry
PARTS = [
    *(("activation", entry.name) for entry in REGISTRY.entries("activation")),
    *(("activation", table) for table in ({"name": "prelu", "slopes": "feature"}, {"name": "swish", "learned": True})),
    *(("normalization", entry.name) for entry in REGISTRY.entries("normalization")),
]


class Every(nn.Module):
    """A block with each activation and each normalization, side by side."""

    def __init__(self, images):
        super().__init__()
        affine = (lambda wide, bias: nn.Conv2d(4, wide, 3, bias=bias)) if images else partial(nn.Linear, 6)
        self.blocks = nn.ModuleList()
        for kind, part in PARTS:
            if part != "instance" or images:  # of features there is one value a feature
                parts = {"activation": "relu", "normalization": "none", kind: part}
                made = {name: REGISTRY.resolve(name, value) for name, value in parts.items()}
                self.blocks.append(AffineBlock(affine, 16, **made))

    def forward(self, x):
        return torch.stack([block(x) for block in self.blocks], 1)


@pytest.mark.parametrize("images", [False, True])
def test_activations_and_normalizations_are_computed_by_batched_operations(images, fallbacks):
    shape = IMAGES if images else FEATURES
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert_stacks(lambda: Every(images), x, rtol=1e-4, atol=2e-5)  # groups of two that lie close magnify rounding
    assert not fallbacks


def test_words_are_looked_up_in_all_tables_at_once(fallbacks):
    assert_stacks(Words, torch.randint(0, 6, (8, 7)), {"x": 1})
    assert not fallbacks


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_what_has_no_rule_is_computed_member_by_member(name, fallbacks):
    make, shape, operation = ONE_BY_ONE[name]
    assert_stacks(make, torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert fallbacks
    assert all(operation in entry for entry in fallbacks)


def test_sequences_of_any_length(fallbacks):
    modules = members(lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True))
    x = torch.randn(STEPS)
    stack = StackedGraph(modules, {"x": x}, {"x": 1})
    program = export_program(stack.eval(), {"x": x}, {"x": 1}).module()
    longer = torch.randn(3, 11, 6)
    with torch.no_grad():
        torch.testing.assert_close(program(longer), torch.stack([module(longer) for module in modules]))


def test_what_all_members_share_stays_single():
    stack = StackedGraph(members(Shared), {"x": torch.randn(FEATURES)}, {})
    assert sorted(tuple(buffer.shape) for buffer in stack.buffers()) == [(3, 3), (3, 3, 6), (6,)]


def test_twins_are_computed_once_and_given_twice():
    module = members(linear, 1)[0]
    found = StackedGraph([module, module], {"x": torch.randn(FEATURES)}, {})(torch.ones(2, 6))
    assert found.shape == (2, 2, 6)
    assert torch.equal(found[0], found[1])


def test_a_member_that_cannot_be_recorded_is_told():
    class Undecided(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(CannotExportError, match="decides by values of the rows"):
        StackedGraph([Undecided(), Undecided()], {"x": torch.randn(FEATURES)}, {})
