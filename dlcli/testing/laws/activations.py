"""Laws of activations, of initializers that suit them, and of what is random in any module."""

import math
import re
from functools import partial

import torch
from torch import Tensor

from dlcli import Initializer, Randomized
from dlcli.testing.law import Case, Law, assert_equal, assert_finite
from dlcli.testing.laws.networks import KINDS, WIDTH, samples

WEIGHTS = ((12, 16), (16, 12), (1, 8), (6, 4, 3), (5, 3, 3, 3))
"""Shapes of weights: of affine maps, and of convolutions in one and two dimensions."""


def is_finite_far_out(case: Case) -> None:
    """An activation's output and gradient are finite from -50 to 50, and at 0."""
    multiple = case.component.input_multiple
    for value in (-50.0, -1.0, 0.0, 1.0, 50.0):
        x = torch.full((2, WIDTH * multiple), value, requires_grad=True)
        y = case.component.build(WIDTH).train()(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert_finite(y, f"{case.label} at {value}")
        assert_finite(gradient, f"gradient of {case.label} at {value}")


def takes_a_batch_of_one_in_training(case: Case) -> None:
    """An activation takes a single row in training too."""
    for sample in samples(case):
        output = sample.first().output(sample.make(case.component).train())
        assert output.shape == (1, *sample.shape[1:]), f"{case.label} on {sample.label}: {tuple(output.shape)}"


def draws_only_the_bits_that_it_is_given(case: Case) -> None:
    """What is `Randomized` in it draws from its source alone, so that members of a stack draw what each would alone."""
    for sample in samples(case):
        module = sample.make(case.component).train()
        random = [each for each in module.modules() if isinstance(each, Randomized) and each.active]
        outputs = []
        for seed in (5, 6) if random else ():
            source = partial(_bits, case.generator())
            for each in random:
                each.source = source
            torch.manual_seed(seed)
            outputs.append(module(*sample.inputs, **sample.keywords))
        for output in outputs[1:]:
            assert_equal(output, outputs[0], f"{case.label} on {sample.label}: the same bits give another output")


def _bits(generator: torch.Generator, shape: torch.Size, device: torch.device) -> Tensor:
    return torch.randint(-(2**15), 2**15, shape, generator=generator, dtype=torch.int16)


def has_a_gain(case: Case) -> None:
    """An activation's gain is a positive number."""
    gain = case.component.gain
    assert math.isfinite(gain), f"{case.label}: the gain is {gain}"
    assert gain > 0, f"{case.label}: the gain is {gain}, expected a positive number"


def keeps_to_its_range(case: Case) -> None:
    """An activation's outputs lie in its `output_range`, where that is an interval of two numbers."""
    interval = re.fullmatch(r"[\[(](-?[\d.]+|-inf), (-?[\d.]+|inf)[\])]", case.component.output_range)
    if interval is None:
        return
    low, high = map(float, interval.groups())
    x = torch.linspace(-20, 20, 4001).unsqueeze(1).expand(-1, WIDTH * case.component.input_multiple)
    y = case.component.build(WIDTH).eval()(x).detach()
    found = f"from {float(y.min()):g} to {float(y.max()):g}"
    message = f"{case.label}: output_range is {case.component.output_range}, but outputs go {found}"
    assert y.min() >= low - 1e-5 * (1 + abs(low)), message
    assert y.max() <= high + 1e-5 * (1 + abs(high)), message


def is_zero_centred_where_it_says(case: Case) -> None:
    """`zero_centred` is true only where the mean over x ~ N(0, 1) is 0, and false where the function is odd."""
    half = torch.randn(20_000, WIDTH * case.component.input_multiple, generator=case.generator())
    mean = abs(float(case.component.build(WIDTH).eval()(torch.cat([half, -half])).detach().double().mean()))
    said = case.component.zero_centred
    message = f"{case.label}: zero_centred is {said}, but the mean over x ~ N(0, 1) is about {mean:.3g}"
    assert mean < 0.05 if said else mean > 1e-6, message


def fills_weights_from_its_generator_alone(case: Case) -> None:
    """An initializer fills the whole of a weight with finite numbers, in place and from no stream but the one given."""
    for shape in WEIGHTS:
        filled = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before, weight = torch.get_rng_state(), torch.full(shape, torch.nan, requires_grad=True)
            with torch.no_grad():
                case.component.fill(weight, case.generator())
            assert_finite(weight, f"{case.label} on a weight {shape}")
            assert_equal(torch.get_rng_state(), before, f"{case.label} draws from torch's own stream")
            filled.append(weight)
        assert_equal(filled[1], filled[0], f"{case.label} on a weight {shape}: two fillings from one seed differ")


def suits_any_activation(case: Case) -> None:
    """What an initializer is for an activation is an initializer that fills weights, for every activation there is."""
    for entry in case.registry.entries("activation"):
        suited = case.component.suited(case.registry.create("activation", entry.label))
        assert isinstance(suited, Initializer), f"{case.label}: suited({entry.label}) is {suited!r}"
        weight = torch.full((12, 16), torch.nan)
        suited.fill(weight, case.generator())
        assert_finite(weight, f"{case.label} for {entry.label}")


LAWS = (
    Law(is_finite_far_out, ("activation",)),
    Law(takes_a_batch_of_one_in_training, ("activation",)),
    Law(draws_only_the_bits_that_it_is_given, KINDS),
    Law(has_a_gain, ("activation",)),
    Law(keeps_to_its_range, ("activation",)),
    Law(is_zero_centred_where_it_says, ("activation",)),
    Law(fills_weights_from_its_generator_alone, ("initializer",)),
    Law(suits_any_activation, ("initializer",)),
)
