"""The recipe as checked, frozen objects; the keys of its tables, their types, ranges and defaults."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dlcli.contracts.architecture import Architecture
from dlcli.contracts.averager import Averager
from dlcli.contracts.component import by_name
from dlcli.contracts.field import Kind, Role
from dlcli.contracts.folds import FoldKind
from dlcli.contracts.initializer import Initializer
from dlcli.contracts.input_layer import InputLayer
from dlcli.contracts.loss import Loss
from dlcli.contracts.metric import Metric
from dlcli.contracts.optimizer import Optimizer
from dlcli.contracts.preprocessor import Preprocessor
from dlcli.contracts.regularizer import Regularizer
from dlcli.contracts.schedule import Schedule
from dlcli.contracts.switches import Precision, Sampling
from dlcli.contracts.task import Task
from dlcli.recipe.ensemble_section import EnsembleSection
from dlcli.recipe.section import Section, defaults
from dlcli.recipe.tune_section import TuneSection


def folder_name(name: str) -> str:
    """Return a run's name unchanged, if a folder may be called so on any system."""
    if len(name) > 100 or not re.fullmatch(r"\w([\w.-]*[\w-])?", name):
        raise ValueError(
            "expected a name for a folder: up to 100 letters, digits, '.', '-' and '_', starting with a letter or "
            f"digit and not ending with '.'; got {name!r}"
        )
    return name


_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def byte_count(text: str) -> str:
    """Return a size unchanged, if it is one, such as `500MB`, `2GB` or `0`."""
    bytes_of(text)
    return text


def bytes_of(text: str) -> int:
    """Return how many bytes a size is.

    Args:
        text: A number with KB, MB, GB or TB behind it, or none.

    Returns:
        Bytes.

    Raises:
        ValueError: It is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"expected a size such as 500MB or 2GB; got {text!r}")
    return int(float(found[1]) * _UNITS[(found[2] or "").upper()])


def address(name: str) -> str:
    """Return an id unchanged, if `--set` can address it."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"expected letters, digits, '-' and '_', so that --set can address it; got {name!r}")
    return name


class FieldMapping(Section):
    """Where a field is in somebody else's file, and what the file does not say about it."""

    short: ClassVar[str | None] = "path"

    path: str = Field(min_length=1, description="path of the dataset in the file, below its split")
    role: Role | None = Field(None, description="what the field is for; the file's own where not given")
    kind: Kind | None = Field(None, description="how its rows are laid out; the file's own where not given")
    classes: tuple[str, ...] | None = Field(None, description="names of the classes, in the order of their numbers")
    names: tuple[str, ...] | None = Field(None, description="names of the columns")
    of: str | None = Field(None, description="for a length, mask or weight: the field that it belongs to")


class SplitSection(Section):
    """How rows are split where the file has no split of that name."""

    val: float | None = Field(
        None, gt=0, lt=1, description="share of validation rows; by default the file's own split, else 0.2"
    )
    test: float | None = Field(
        None, gt=0, lt=1, description="share of test rows; by default the file's own split, else none"
    )
    stratify: bool | None = Field(
        None, description="whether classes keep their shares in every split; by default where there are classes"
    )


class FoldsSection(Section):
    """How folds are made, or where they are."""

    short: ClassVar[str | None] = "kind"

    kind: FoldKind | None = Field(
        None, description="how rows are divided; by default grouped where there are groups, else stratified, else kfold"
    )
    repeats: int = Field(1, ge=1, description="how often the rows are divided anew")
    gap: int = Field(0, ge=0, description="rows left out between training and held-out rows of time_ordered folds")
    file: str | None = Field(
        None, min_length=1, description="folds that `dlcli data folds` or a run left, in place of making them"
    )

    @model_validator(mode="after")
    def _made_or_given(self) -> Self:
        if self.file is not None and (self.kind is not None or self.repeats > 1 or self.gap):
            raise ValueError("folds of a file are as they are: leave out kind, repeats and gap, or file")
        return self


class DataSection(Section):
    """What to train on."""

    path: str = Field(min_length=1, description="the HDF5 file, relative to the recipe")
    fields: dict[str, FieldMapping] = defaults("where our fields are in a file of another layout")
    split: SplitSection = defaults("only for splits the file does not have")
    folds: FoldsSection | None = Field(
        None, description="how folds are made where train.kfold or tune.kfold asks for some"
    )
    preprocess: tuple[Preprocessor, ...] = Field(
        (), description="applied to the inputs in order, fitted on training rows only"
    )
    scale_target: bool = Field(
        False,
        description="whether a regression trains on targets of mean 0 and standard deviation 1; answers, and all "
        "figures but train_loss, stay in the target's own units",
    )
    task: Annotated[Task, Field(strict=False)] | None = Field(
        None, description="the task, where it cannot be inferred from the target"
    )
    memory: Annotated[str, AfterValidator(byte_count)] | None = Field(
        None,
        description="how much the data may take in memory, such as 2GB; larger inputs are streamed from disk; by "
        "default half of what is available",
    )
    fingerprint: str | None = Field(
        None, description="digest of the file; where given, another file is refused (resolved recipes have it)"
    )


class ModelSection(Section):
    """Which network: an architecture with its parameters, and how its weights start."""

    flat: ClassVar[str | None] = "architecture"
    flat_name: ClassVar[str] = "architecture"

    architecture: Architecture = Field(description="the network's architecture; its parameters stand beside it")
    inputs: tuple[InputLayer, ...] = Field(
        (), description="learned layers in front of the architecture; each takes the inputs that it accepts"
    )
    init: Initializer | None = Field(None, description="initial values; by default the architecture's own")


class KeepCheckpoints(Section):
    """Which checkpoints stay on disk."""

    best: int = Field(1, ge=0, description="how many of the best epochs")
    last: int = Field(1, ge=1, description="how many of the last epochs")
    every_epochs: int = Field(0, ge=0, description="also every so many epochs; 0 means none")


class TrainSection(Section):
    """How to train."""

    epochs: int = Field(30, ge=1, description="passes over the training rows, at most")
    batch_size: int = Field(64, ge=1, description="rows in a batch")
    loss: Loss | None = Field(None, description="what training makes small; by default the task's own")
    optimizer: Annotated[Optimizer, Field(description="how weights follow the gradient")] = by_name("adamw")
    schedule: Annotated[Schedule, Field(description="how the learning rate changes")] = by_name("constant")
    averager: Averager | None = Field(
        None, description="keeps an average of the weights, which is then validated and kept; by default none"
    )
    metrics: tuple[Metric, ...] | None = Field(None, description="figures of every epoch; by default the task's own")
    monitor: str = Field(
        "val_loss", description="decides the best epoch and early stopping: train_loss, val_loss or val_<metric>"
    )
    horizon: int | None = Field(
        None, ge=1, description="epochs that the schedule is laid out for; by default train.epochs"
    )
    rows: Literal["train", "train+val"] = Field(
        "train", description="what to train on; train+val leaves nothing to choose an epoch by"
    )
    select: Literal["best", "last"] = Field("best", description="which epoch's parameters the model gets")
    seeds: int = Field(1, ge=1, description="how many networks to train, alike but for their randomness; as --seeds")
    kfold: int | None = Field(
        None, ge=2, description="how many folds of training and validation rows to cross-validate on; as --kfold"
    )
    engine: Literal["auto", "loop", "vectorized"] = Field(
        "auto", description="how several networks train: one by one, as one stack, or auto: as a stack where that works"
    )
    drop_last: bool = Field(False, description="whether a short last batch is left out instead of filled")
    accumulate: int = Field(
        1, ge=1, description="batches whose rows make one optimizer step, as one batch of so many times the rows would"
    )
    sampling: Sampling = Field(
        "shuffled",
        description="shuffled: an epoch has each training row once; class_balanced: as many rows, drawn with "
        "replacement, every class with the same probability",
    )
    precision: Precision = Field(
        "float32", description="what layers compute in while training; parameters, losses and figures stay float32"
    )
    activation_checkpointing: bool = Field(
        False, description="whether blocks keep their inputs alone for the backward pass and compute the rest again"
    )
    compile: bool = Field(False, description="whether the network is compiled for training by torch.compile")
    deterministic: bool = Field(
        False,
        description="whether training uses operations alone that give the same bits every time, or says which does not",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute; auto: the fastest")
    start_from: str | None = Field(
        None, min_length=1, description="a run whose weights to start from: its path, or its name; as --from"
    )
    freeze: str | None = Field(
        None, min_length=1, description="parameters that are not trained: weights, all, or globs joined by commas"
    )
    checkpoint_seconds: float = Field(30.0, ge=0, description="least seconds between checkpoints; 0: every epoch")
    keep_checkpoints: KeepCheckpoints = defaults("which checkpoints stay on disk")


class NamedRegularizer(Section):
    """A regularizer and the name by which `--set` addresses it."""

    flat: ClassVar[str | None] = "component"
    short: ClassVar[str | None] = "name"

    id: Annotated[str, AfterValidator(address)] = Field(
        description="how --set addresses it; by default its name, to be given where a name occurs twice"
    )
    component: Regularizer = Field(description="the regularizer")

    @model_validator(mode="before")
    @classmethod
    def _default_id(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, Mapping) or "id" in value:
            return value
        return {**value, "id": str(value.get("name", "unnamed")).rpartition(":")[2]}


class LogSection(Section):
    """Who else is told about the run."""

    tensorboard: bool = Field(False, description="whether to write event files for TensorBoard")


class Recipe(Section):
    """A checked recipe: every name resolved, every default in place, paths absolute."""

    name: Annotated[str, AfterValidator(folder_name)] = Field(
        description="name of the run's folder; by default that of the file, or of its folder for recipe.toml"
    )
    seed: int = Field(0, ge=0, description="what all randomness is derived from")
    data: DataSection = Field(description="what to train on")
    model: ModelSection = Field(description="which network")
    train: TrainSection = defaults("how to train")
    regularizers: tuple[NamedRegularizer, ...] = Field((), description="what keeps the network from overfitting")
    tune: TuneSection | None = Field(None, description="how `dlcli tune` searches for better values")
    ensemble: EnsembleSection | None = Field(
        None, description="how `dlcli ensemble` makes one model of several networks"
    )
    log: LogSection = defaults("who else is told about the run")
