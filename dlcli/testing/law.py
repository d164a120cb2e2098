"""What a law is: a function that fails for a component that breaks it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dlcli import KINDS, Component, Registry, implements


@dataclass(frozen=True)
class Case:
    """A component under test.

    Args:
        registry: Where it is registered.
        kind: Its kind.
        label: Its unambiguous name, `distribution:name`.
    """

    registry: Registry
    kind: str
    label: str

    @property
    def component(self) -> Any:
        """The component with its defaults, freshly made."""
        return self.registry.create(self.kind, self.label)

    def generator(self, seed: int = 0) -> torch.Generator:
        """Return a freshly seeded random stream."""
        return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Law:
    """What every component of some kinds must hold.

    Args:
        check: Raises where the component breaks the law; its name and docstring are the law's.
        kinds: The kinds that it binds.
        methods: Where given, it binds only components that override one of these methods.
    """

    check: Callable[[Case], None]
    kinds: tuple[str, ...] = KINDS
    methods: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.check.__name__

    def binds(self, component: Component) -> bool:
        """Return whether a component has to hold this law."""
        if component.kind not in self.kinds:
            return False
        return not self.methods or any(implements(component, method) for method in self.methods)

    def __call__(self, case: Case) -> None:
        """Check a component; torch's global stream is seeded before and restored after."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.check(case)


def assert_equal(actual: torch.Tensor, expected: torch.Tensor, message: str) -> None:
    """Fail with a message unless two tensors are equal to the bit, in shape and dtype too; NaN equals NaN."""
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=0, equal_nan=True, msg=lambda detail: f"{message}\n{detail}"
    )


def assert_close(actual: torch.Tensor, expected: torch.Tensor, message: str, tolerance: float = 1e-4) -> None:
    """Fail with a message unless two tensors are close, with equal shape and dtype; NaN equals NaN."""
    torch.testing.assert_close(
        actual, expected, rtol=tolerance, atol=tolerance / 10, equal_nan=True, msg=lambda detail: f"{message}\n{detail}"
    )


def assert_finite(value: torch.Tensor, message: str) -> None:
    """Fail with a message unless every element is finite."""
    assert bool(torch.isfinite(value).all()), f"{message}: there are NaN or infinite values"
