import pytest
import torch
from pydantic import ValidationError

GRADIENTS = {"a": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), "b": torch.tensor([3.0, -4.0])}


@pytest.mark.parametrize("max_value", [0.0, 0.5, 3.5, 1e6])
@pytest.mark.parametrize("max_norm", [0.0, 0.01, 1.0, 5.0, 1e6])
def test_is_torchs(registry, max_norm, max_value):
    clip = registry.create("regularizer", "clip_gradients", max_norm=max_norm, max_value=max_value)
    assert clip.select == "all"
    parameters = {name: torch.nn.Parameter(torch.zeros_like(value)) for name, value in GRADIENTS.items()}
    for name, parameter in parameters.items():
        parameter.grad = GRADIENTS[name].clone()
    if max_value:
        torch.nn.utils.clip_grad_value_(parameters.values(), max_value)
    if max_norm:
        torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
    before = {name: value.clone() for name, value in GRADIENTS.items()}
    clipped = clip.gradients(GRADIENTS, parameters)
    torch.testing.assert_close(clipped, {name: parameter.grad for name, parameter in parameters.items()})
    torch.testing.assert_close(GRADIENTS, before, rtol=0, atol=0)


def test_no_limits_change_nothing(registry):
    clip = registry.create("regularizer", "clip_gradients", max_norm=0.0)
    given = {"a": torch.tensor([float("inf"), 1e38]), "b": torch.tensor([float("nan"), -1.0])}
    torch.testing.assert_close(clip.gradients(given, {}), given, rtol=0, atol=0, equal_nan=True)


def test_members_are_clipped_by_their_own_norm_under_vmap(registry):
    clip = registry.create("regularizer", "clip_gradients")
    stacked = {name: torch.stack([value, value * 10, value * 0.01, value]) for name, value in GRADIENTS.items()}
    limits = {"max_norm": torch.tensor([2.0, 0.5, 1.0, 0.0]), "max_value": torch.tensor([0.0, 0.1, 1.0, 0.2])}

    def call(limits, gradients):
        return clip.with_per_member(limits).gradients(gradients, {})

    clipped = torch.vmap(call)(limits, stacked)
    for index in range(4):
        single = {name: value[index] for name, value in stacked.items()}
        expected = call({name: float(own[index]) for name, own in limits.items()}, single)
        torch.testing.assert_close({name: value[index] for name, value in clipped.items()}, expected)


def test_nothing_selected(registry):
    assert registry.create("regularizer", "clip_gradients").gradients({}, {}) == {}


def test_a_nan_is_not_hidden(registry):
    clip = registry.create("regularizer", "clip_gradients")
    clipped = clip.gradients({"a": torch.tensor([float("nan"), 1.0]), "b": torch.ones(2)}, {})
    assert all(value.isnan().all() for value in clipped.values())


@pytest.mark.parametrize("limit", ["max_norm", "max_value"])
def test_range(registry, limit):
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        registry.create("regularizer", "clip_gradients", **{limit: -1.0})
