"""dlcli: a command-line laboratory for deep learning. All that is public is here, and costs no torch.

Contracts to write plugins against, building blocks of networks, and the Python API.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcli.contracts.activation import Activation as Activation
    from dlcli.contracts.activation import Initialization as Initialization
    from dlcli.contracts.architecture import Architecture as Architecture
    from dlcli.contracts.averager import Averager as Averager
    from dlcli.contracts.batch import Batch as Batch
    from dlcli.contracts.component import Component as Component
    from dlcli.contracts.component import PerMember as PerMember
    from dlcli.contracts.component import by_name as by_name
    from dlcli.contracts.component import implements as implements
    from dlcli.contracts.ensemble import Context as Context
    from dlcli.contracts.ensemble import Ensemble as Ensemble
    from dlcli.contracts.ensemble import Plan as Plan
    from dlcli.contracts.ensemble_members import AveragedWeights as AveragedWeights
    from dlcli.contracts.ensemble_members import Combination as Combination
    from dlcli.contracts.ensemble_members import KeptStates as KeptStates
    from dlcli.contracts.ensemble_members import MemberResult as MemberResult
    from dlcli.contracts.ensemble_members import MemberSpecification as MemberSpecification
    from dlcli.contracts.ensemble_members import Outcome as Outcome
    from dlcli.contracts.ensemble_members import SingleMember as SingleMember
    from dlcli.contracts.ensemble_members import Unseen as Unseen
    from dlcli.contracts.exporter import DESCRIPTION_KEY as DESCRIPTION_KEY
    from dlcli.contracts.exporter import Artefact as Artefact
    from dlcli.contracts.exporter import Exportable as Exportable
    from dlcli.contracts.exporter import Exporter as Exporter
    from dlcli.contracts.field import Field as Field
    from dlcli.contracts.field import InputOutput as InputOutput
    from dlcli.contracts.field import Kind as Kind
    from dlcli.contracts.field import Role as Role
    from dlcli.contracts.folds import Fold as Fold
    from dlcli.contracts.folds import Folds as Folds
    from dlcli.contracts.history import Direction as Direction
    from dlcli.contracts.history import EpochRecord as EpochRecord
    from dlcli.contracts.history import History as History
    from dlcli.contracts.importer import TEXTS as TEXTS
    from dlcli.contracts.importer import Importer as Importer
    from dlcli.contracts.importer import SourceField as SourceField
    from dlcli.contracts.initializer import Initializer as Initializer
    from dlcli.contracts.input_layer import InputLayer as InputLayer
    from dlcli.contracts.kinds import KINDS as KINDS
    from dlcli.contracts.loss import Loss as Loss
    from dlcli.contracts.metric import Metric as Metric
    from dlcli.contracts.normalization import Normalization as Normalization
    from dlcli.contracts.optimizer import Optimizer as Optimizer
    from dlcli.contracts.preprocessor import Preprocessor as Preprocessor
    from dlcli.contracts.randomness import derive as derive
    from dlcli.contracts.regularizer import MixedBatch as MixedBatch
    from dlcli.contracts.regularizer import Regularizer as Regularizer
    from dlcli.contracts.run import RunInfo as RunInfo
    from dlcli.contracts.schedule import Horizon as Horizon
    from dlcli.contracts.schedule import Schedule as Schedule
    from dlcli.contracts.search import Choice as Choice
    from dlcli.contracts.search import Condition as Condition
    from dlcli.contracts.search import Distribution as Distribution
    from dlcli.contracts.search import Normal as Normal
    from dlcli.contracts.search import Search as Search
    from dlcli.contracts.search import Searcher as Searcher
    from dlcli.contracts.search import Setting as Setting
    from dlcli.contracts.search import Space as Space
    from dlcli.contracts.search import Uniform as Uniform
    from dlcli.contracts.search import Value as Value
    from dlcli.contracts.search import belongs as belongs
    from dlcli.contracts.search import compose as compose
    from dlcli.contracts.search import keys_in_order as keys_in_order
    from dlcli.contracts.search import written as written
    from dlcli.contracts.selector import select_parameters as select_parameters
    from dlcli.contracts.task import CLASSIFICATION as CLASSIFICATION
    from dlcli.contracts.task import REGRESSION as REGRESSION
    from dlcli.contracts.task import Task as Task
    from dlcli.contracts.task import probabilities as probabilities
    from dlcli.data.hdf5 import dataset_names as dataset_names
    from dlcli.data.hdf5 import hdf5_dataset as hdf5_dataset
    from dlcli.data.hdf5 import open_hdf5 as open_hdf5
    from dlcli.errors import DataError as DataError
    from dlcli.errors import DlcliError as DlcliError
    from dlcli.errors import PluginError as PluginError
    from dlcli.errors import UsageError as UsageError
    from dlcli.experiment.build import build as build
    from dlcli.experiment.ensemble import ensemble as ensemble
    from dlcli.experiment.evaluate import evaluate as evaluate
    from dlcli.experiment.evaluation.compare import compare as compare
    from dlcli.experiment.export import export as export
    from dlcli.experiment.load import load as load
    from dlcli.experiment.models.answering import Answering as Answering
    from dlcli.experiment.predict import predict as predict
    from dlcli.experiment.train import train as train
    from dlcli.experiment.tune import tune as tune
    from dlcli.hookspecs import hookimpl as hookimpl
    from dlcli.layers.block import AffineBlock as AffineBlock
    from dlcli.layers.combining import MeanOfMembers as MeanOfMembers
    from dlcli.layers.combining import outputs_from as outputs_from
    from dlcli.layers.conditional import ConditionalNormalization as ConditionalNormalization
    from dlcli.layers.conditional import ConditionalSequential as ConditionalSequential
    from dlcli.layers.conditional import Conditioning as Conditioning
    from dlcli.layers.conditional import ConditionUse as ConditionUse
    from dlcli.layers.conditional import conditionings as conditionings
    from dlcli.layers.convolution_arithmetic import Window as Window
    from dlcli.layers.convolution_arithmetic import output_size as output_size
    from dlcli.layers.dropout import Dropout as Dropout
    from dlcli.layers.dropout import DropoutKind as DropoutKind
    from dlcli.layers.dropout import Randomized as Randomized
    from dlcli.layers.program import CannotExportError as CannotExportError
    from dlcli.layers.program import export_program as export_program
    from dlcli.layers.program import identifier as identifier
    from dlcli.layers.program import without_torch_warnings as without_torch_warnings
    from dlcli.layers.residual import Residual as Residual
    from dlcli.layers.squashing import squashed_by as squashed_by
    from dlcli.plugins import Plugins as Plugins
    from dlcli.plugins import load_plugins as load_plugins
    from dlcli.registry import Registrar as Registrar
    from dlcli.registry import Registry as Registry

_WHERE = {
    "contracts.activation": ("Activation", "Initialization"),
    "contracts.architecture": ("Architecture",),
    "contracts.averager": ("Averager",),
    "contracts.batch": ("Batch",),
    "contracts.component": ("Component", "PerMember", "by_name", "implements"),
    "contracts.ensemble": ("Context", "Ensemble", "Plan"),
    "contracts.ensemble_members": (
        "AveragedWeights",
        "Combination",
        "KeptStates",
        "MemberResult",
        "MemberSpecification",
        "Outcome",
        "SingleMember",
        "Unseen",
    ),
    "contracts.exporter": ("Artefact", "DESCRIPTION_KEY", "Exportable", "Exporter"),
    "contracts.field": ("Field", "InputOutput", "Kind", "Role"),
    "contracts.folds": ("Fold", "Folds"),
    "contracts.history": ("Direction", "EpochRecord", "History"),
    "contracts.importer": ("Importer", "SourceField", "TEXTS"),
    "contracts.initializer": ("Initializer",),
    "contracts.input_layer": ("InputLayer",),
    "contracts.kinds": ("KINDS",),
    "contracts.loss": ("Loss",),
    "contracts.metric": ("Metric",),
    "contracts.normalization": ("Normalization",),
    "contracts.optimizer": ("Optimizer",),
    "contracts.preprocessor": ("Preprocessor",),
    "contracts.randomness": ("derive",),
    "contracts.regularizer": ("MixedBatch", "Regularizer"),
    "contracts.run": ("RunInfo",),
    "contracts.schedule": ("Horizon", "Schedule"),
    "contracts.search": (
        "Choice",
        "Condition",
        "Distribution",
        "Normal",
        "Search",
        "Searcher",
        "Setting",
        "Space",
        "Uniform",
        "Value",
        "belongs",
        "compose",
        "keys_in_order",
        "written",
    ),
    "contracts.selector": ("select_parameters",),
    "contracts.task": ("CLASSIFICATION", "REGRESSION", "Task", "probabilities"),
    "data.hdf5": ("dataset_names", "hdf5_dataset", "open_hdf5"),
    "errors": ("DataError", "DlcliError", "PluginError", "UsageError"),
    "experiment.models.answering": ("Answering",),
    "experiment.build": ("build",),
    "experiment.ensemble": ("ensemble",),
    "experiment.evaluate": ("evaluate",),
    "experiment.evaluation.compare": ("compare",),
    "experiment.export": ("export",),
    "experiment.load": ("load",),
    "experiment.predict": ("predict",),
    "experiment.train": ("train",),
    "experiment.tune": ("tune",),
    "hookspecs": ("hookimpl",),
    "layers.block": ("AffineBlock",),
    "layers.combining": ("MeanOfMembers", "outputs_from"),
    "layers.conditional": (
        "ConditionUse",
        "ConditionalNormalization",
        "ConditionalSequential",
        "Conditioning",
        "conditionings",
    ),
    "layers.convolution_arithmetic": ("Window", "output_size"),
    "layers.dropout": ("Dropout", "DropoutKind", "Randomized"),
    "layers.program": ("CannotExportError", "export_program", "identifier", "without_torch_warnings"),
    "layers.residual": ("Residual",),
    "layers.squashing": ("squashed_by",),
    "plugins": ("Plugins", "load_plugins"),
    "registry": ("Registrar", "Registry"),
}
_MODULES = {name: f"dlcli.{module}" for module, names in _WHERE.items() for name in names}
__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dlcli' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
