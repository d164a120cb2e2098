from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, model_validator

from dlcli import (
    Activation,
    Architecture,
    Ensemble,
    Initializer,
    Loss,
    Metric,
    Optimizer,
    PerMember,
    Preprocessor,
    Regularizer,
    Schedule,
    by_name,
)
from dlcli.contracts.component import Component
from dlcli.registry import Entry, Registry


class Relu(Activation):
    """A ramp."""

    name: ClassVar[str] = "relu"


class Leaky(Activation):
    """A bent ramp."""

    name: ClassVar[str] = "leaky"
    slope: float = Field(0.01, ge=0, le=1, description="slope left of zero")


class Net(Architecture):
    """A network of a few layers.

    More about it.
    """

    name: ClassVar[str] = "net"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((16,), min_length=1, description="widths")
    activation: Activation = by_name("relu")
    dropout: PerMember = Field(0.0, ge=0, lt=1, description="rate")
    padding: Literal["same", "valid"] = Field("same", description="edges")
    kernel: int | tuple[int, int] = Field(3, description="kernel")


class Pair(Architecture):
    """Two widths that must rise."""

    name: ClassVar[str] = "pair"
    first: int = Field(description="first width")
    second: int = Field(9, description="second width")

    @model_validator(mode="after")
    def _rises(self) -> "Pair":
        if self.second <= self.first:
            raise ValueError(f"second must exceed first; got {self.second} and {self.first}")
        return self


class Uniform(Initializer):
    """Numbers in a range."""

    name: ClassVar[str] = "uniform"
    gain: float = Field(1.0, gt=0, description="gain")


class Grouped(Initializer):
    """Its defaults are made, one of them from another."""

    name: ClassVar[str] = "grouped"
    groups: tuple[int, ...] = Field(default_factory=lambda: (1, 2), description="groups")
    twice: int = Field(default_factory=lambda fields: 2 * len(fields["groups"]), description="twice as many")


class Standardize(Preprocessor):
    """Zero mean, unit variance."""

    name: ClassVar[str] = "standardize"


class CrossEntropy(Loss):
    """Cross entropy."""

    name: ClassVar[str] = "cross_entropy"
    smoothing: float = Field(0.0, ge=0, lt=1, description="smoothing")


class Accuracy(Metric):
    """Share that is right."""

    name: ClassVar[str] = "accuracy"


class Ece(Metric):
    """Calibration error."""

    name: ClassVar[str] = "ece"
    bins: int = Field(15, ge=2, description="bins")


class Adam(Optimizer):
    """Adam."""

    name: ClassVar[str] = "adam"
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay rates")


class AdamW(Optimizer):
    """Adam with decay."""

    name: ClassVar[str] = "adamw"
    weight_decay: PerMember = Field(0.01, ge=0, description="decay")


class Constant(Schedule):
    """Never changes."""

    name: ClassVar[str] = "constant"


class Cosine(Schedule):
    """Falls along a cosine."""

    name: ClassVar[str] = "cosine"
    warmup_epochs: float = Field(4.0, ge=0, description="warm-up")


class L2(Regularizer):
    """Squares of the weights."""

    name: ClassVar[str] = "l2"
    strength: PerMember = Field(1e-4, ge=0, description="strength")


class EarlyStopping(Regularizer):
    """Stops when nothing gets better."""

    name: ClassVar[str] = "early_stopping"
    patience: int = Field(10, ge=1, description="epochs")


class Voting(Ensemble):
    """Means of outputs."""

    name: ClassVar[str] = "voting"


FAKES: tuple[type[Component], ...] = (
    Relu, Leaky, Net, Pair, Uniform, Grouped, Standardize, CrossEntropy, Accuracy, Ece, Adam, AdamW, Constant, Cosine,
    L2, EarlyStopping, Voting,
)  # fmt: skip
for fake in FAKES:
    # Only names and parameters matter to a recipe: the methods are left abstract.
    fake.__abstractmethods__ = frozenset()

RECIPE = """
name = "digits"
seed = 3
[data]
path = "digits.h5"
split = { val = 0.2, stratify = true }  # a comment
preprocess = ["standardize"]
[model]
architecture = "net"
hidden = [128, 64]
activation = { name = "leaky", slope = 0.1 }
[train]
epochs = 20
optimizer = "adam"
schedule = { name = "cosine", warmup_epochs = 2 }
metrics = ["accuracy", { name = "ece", bins = 5 }]
monitor = "val_accuracy"
[[regularizers]]
name = "early_stopping"
patience = 5
[[regularizers]]
name = "l2"
id = "small"
"""


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.extend([Entry(cls.kind, cls.name, f"{cls.__module__}:{cls.__name__}", "fakes") for cls in FAKES])
    return registry


@pytest.fixture
def recipe_text() -> str:
    return RECIPE


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a recipe to a file."""

    def written(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written
