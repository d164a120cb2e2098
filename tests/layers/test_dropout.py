import pytest
import torch
from torch import nn

from dlcli import Dropout
from dlcli.layers.dropout import random_bits, replace_dropout, set_dropout_source

RATES = [0.1, 0.5, 0.9]
COUNT = 200_000


def bits_from(generator):
    return lambda shape, device: random_bits(shape, device, generator)


def seeded(rate, seed=0):
    dropout = Dropout(rate)
    dropout.source = bits_from(torch.Generator().manual_seed(seed))
    return dropout


@pytest.mark.parametrize("rate", RATES)
def test_each_of_the_four_lanes_drops_at_the_rate(rate):
    dropped = (seeded(rate)(torch.ones(COUNT)) == 0).view(-1, 4).double().mean(0)
    deviation = (rate * (1 - rate) / (COUNT / 4)) ** 0.5
    assert ((dropped - rate).abs() < 4.5 * deviation).all()


def test_neighbouring_elements_are_independent():
    dropped = (seeded(0.5)(torch.ones(COUNT)) == 0).double()
    for distance in (1, 2, 3, 4):
        both = (dropped[distance:] * dropped[:-distance]).mean()
        assert abs(both - 0.25) < 4.5 * (0.25 * 0.75 / COUNT) ** 0.5


def test_bits_are_uniform_over_all_values():
    bits = random_bits(torch.Size([COUNT]), torch.device("cpu"), torch.Generator().manual_seed(1))
    assert bits.dtype == torch.int16
    for bit in range(16):
        share = ((bits.int() >> bit) & 1).double().mean()
        assert abs(share - 0.5) < 4.5 * (0.25 / COUNT) ** 0.5


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (0, 4)])
def test_any_shape(shape):
    x = torch.ones(shape)
    assert seeded(0.5)(x).shape == x.shape


@pytest.mark.parametrize("rate", RATES)
def test_expectation_is_preserved(rate):
    y = seeded(rate)(torch.ones(COUNT, dtype=torch.float64))
    assert abs(y.mean() - 1) < 4.5 * (rate / (1 - rate) / COUNT) ** 0.5
    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=2e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradient_and_dtype_follow_the_mask(dtype):
    x = torch.randn(64, dtype=dtype, requires_grad=True)
    y = seeded(0.5)(x)
    assert y.dtype == dtype
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(y, x * gradient)


def test_passes_everything_in_evaluation_and_at_rate_zero():
    x = torch.randn(5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_source_decides_and_set_dropout_source_reaches_every_layer():
    network = nn.Sequential(Dropout(0.5), nn.Sequential(nn.Identity(), Dropout(0.25)))
    x = torch.ones(1000)
    set_dropout_source(network, bits_from(torch.Generator().manual_seed(7)))
    first = network(x)
    set_dropout_source(network, bits_from(torch.Generator().manual_seed(7)))
    before = torch.random.get_rng_state()
    assert torch.equal(network(x), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    set_dropout_source(network, lambda shape, device: torch.full(shape, 32767, dtype=torch.int16))
    torch.testing.assert_close(network(x), torch.full((1000,), 1 / (0.5 * 0.75)))
    set_dropout_source(network, lambda shape, device: torch.full(shape, -32768, dtype=torch.int16))
    assert torch.equal(network(x), torch.zeros(1000))
    set_dropout_source(network, None)
    torch.manual_seed(3)
    first = network(x)
    torch.manual_seed(3)
    assert torch.equal(network(x), first)


def test_rate_is_a_buffer_but_not_state():
    dropout = Dropout(0.3)
    assert dropout.rate.item() == pytest.approx(0.3, abs=1 / 131072)
    assert dict(dropout.named_buffers()).keys() == {"rate", "offset", "scale"}
    assert dropout.state_dict() == {}
    assert "rate=0.3" in repr(dropout)


class Foreign(nn.Module):
    """Somebody's network, with one dropout used in two places and another deep inside."""

    def __init__(self):
        super().__init__()
        self.once = nn.Dropout(0.1)
        self.again = self.once
        self.deep = nn.Sequential(nn.Linear(3, 3), nn.ModuleList([nn.Dropout(0.2)]), nn.Dropout2d(0.3))


def test_replace_dropout_in_foreign_modules():
    network = Foreign().eval()
    assert replace_dropout(network) is network
    assert not any(type(module) is nn.Dropout for module in network.modules())
    rates = [round(module.rate.item(), 3) for module in (network.once, network.again, network.deep[1][0])]
    assert rates == [0.1, 0.1, 0.2]
    assert type(network.deep[2]) is nn.Dropout2d
    assert not any(module.training for module in network.modules())
    assert isinstance(replace_dropout(nn.Dropout(0.4)), Dropout)


def test_members_of_a_stack_have_rates_of_their_own():
    modules = [nn.Sequential(nn.Linear(4, 300), Dropout(rate)) for rate in (0.2, 0.5, 0.8)]
    parameters, buffers = torch.func.stack_module_state(modules)
    x = torch.randn(3, 16, 4)
    bits = random_bits(torch.Size([3, 16, 300]), x.device, torch.Generator().manual_seed(0))

    def call(parameters, buffers, bits, x):
        set_dropout_source(modules[0], lambda shape, device: bits)
        return torch.func.functional_call(modules[0], (parameters, buffers), (x,))

    together = torch.vmap(call)(parameters, buffers, bits, x)
    for index, module in enumerate(modules):
        set_dropout_source(module, lambda shape, device, index=index: bits[index])
        alone = module(x[index])
        torch.testing.assert_close(together[index], alone)
        assert (alone == 0).double().mean().item() == pytest.approx([0.2, 0.5, 0.8][index], abs=0.04)


def test_alpha_dropout_keeps_mean_and_variance_and_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(COUNT, dtype=torch.float64)
    for rate in RATES:
        dropout = Dropout(rate, "alpha")
        dropout.source = bits_from(torch.Generator().manual_seed(1))
        y = dropout(x)
        assert abs(y.mean()) < 0.02
        assert abs(y.var() - 1) < 0.02
        theirs = nn.AlphaDropout(rate).train()(x)
        # Both have an affine map of what is kept and one value for what is dropped.
        dropped, other = y.mode().values, theirs.mode().values
        torch.testing.assert_close(dropped, other, rtol=1e-3, atol=1e-4)
        kept, theirs_kept = y != dropped, theirs != other
        both = kept & theirs_kept
        torch.testing.assert_close(y[both], theirs[both], rtol=1e-3, atol=1e-4)
        assert kept.double().mean() == pytest.approx(1 - rate, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "feature_dim", "shared"), [("spatial", 1, (2, 3)), ("spatial", -1, (1, 2)), ("rows", 1, (1, 2, 3))]
)
def test_what_is_dropped_together(kind, feature_dim, shared):
    dropout = Dropout(0.5, kind, feature_dim)
    dropout.source = bits_from(torch.Generator().manual_seed(0))
    y = dropout(torch.ones(50, 8, 5, 6))
    assert torch.equal(y.amin(shared), y.amax(shared))
    assert {0.0, 2.0} == set(y.unique().tolist())
    assert (y.amax(shared) == 0).double().mean().item() == pytest.approx(0.5, abs=0.15)


def test_stacked_alpha_dropout_has_rates_of_its_own():
    modules = [Dropout(rate, "alpha") for rate in (0.2, 0.7)]
    _, buffers = torch.func.stack_module_state(modules)
    bits = random_bits(torch.Size([2, 400]), torch.device("cpu"), torch.Generator().manual_seed(0))
    x = torch.randn(2, 400)

    def call(buffers, bits, x):
        set_dropout_source(modules[0], lambda shape, device: bits)
        return torch.func.functional_call(modules[0], buffers, (x,))

    together = torch.vmap(call)(buffers, bits, x)
    for place, module in enumerate(modules):
        set_dropout_source(module, lambda shape, device, place=place: bits[place])
        torch.testing.assert_close(together[place], module(x[place]))
