import math

import pytest
import torch
from dlcli_example.snake import Snake


@pytest.mark.parametrize("alpha", [0.25, 1.0, 5.0])
def test_it_is_its_formula(alpha):
    x = torch.linspace(-3, 3, 25)
    expected = [v + math.sin(alpha * v) ** 2 / alpha for v in x.tolist()]
    torch.testing.assert_close(Snake(alpha=alpha).build(1)(x), torch.tensor(expected))


def test_its_gradient_is_as_stated():
    x = torch.linspace(-3, 3, 25, requires_grad=True)
    (gradient,) = torch.autograd.grad(Snake(alpha=2.0).build(1)(x).sum(), x)
    torch.testing.assert_close(gradient, 1 + torch.sin(2 * 2.0 * x.detach()))


def test_it_repeats_every_pi_over_alpha_and_never_falls():
    snake = Snake(alpha=3.0).build(1)
    x = torch.linspace(-2, 2, 1001)
    torch.testing.assert_close(snake(x + math.pi / 3) - (x + math.pi / 3), snake(x) - x, rtol=0, atol=1e-5)
    assert bool((snake(x).diff() >= 0).all())


def test_a_frequency_of_zero_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        Snake(alpha=0.0)
