"""What every family of built-ins has in common."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

import dlcli.builtin
from dlcli.registry import Registry

ROOT = Path(dlcli.builtin.__file__).parent
EXPECTED = {
    "architecture": [
        "cnn",
        "gru",
        "input_layers",
        "linear",
        "logistic",
        "lstm",
        "mlp",
        "resnet",
        "rnn",
        "svm",
        "transformer",
    ],
    "activation": [
        "elu",
        "gelu",
        "glu",
        "hard_sigmoid",
        "hard_swish",
        "identity",
        "leaky_relu",
        "maxout",
        "mish",
        "prelu",
        "relu",
        "rrelu",
        "selu",
        "sigmoid",
        "softmax",
        "softplus",
        "swish",
        "tanh",
    ],
    "normalization": ["batch", "group", "instance", "layer", "none", "rms"],
    "initializer": [
        "auto",
        "kaiming_normal",
        "kaiming_uniform",
        "lecun_normal",
        "lecun_uniform",
        "normal",
        "orthogonal",
        "xavier_normal",
        "xavier_uniform",
    ],
    "preprocessor": ["impute", "log1p", "one_hot", "piecewise_linear", "quantile", "scale", "standardize"],
    "input_layer": ["embed", "periodic", "piecewise_linear"],
    "loss": [
        "binary_cross_entropy",
        "cross_entropy",
        "epsilon_insensitive",
        "focal",
        "gaussian_nll",
        "hinge",
        "huber",
        "mae",
        "mse",
        "quantile",
        "squared_hinge",
    ],
    "metric": [
        "accuracy",
        "auroc",
        "average_precision",
        "brier",
        "confusion",
        "ece",
        "f1",
        "mae",
        "mape",
        "mse",
        "nll",
        "perplexity",
        "precision",
        "r2",
        "recall",
        "rmse",
        "top_k",
        "torchmetrics",
    ],
    "regularizer": [
        "activity_l1",
        "clip_gradients",
        "cutmix",
        "cutout",
        "early_stopping",
        "elastic_net",
        "gap_stopping",
        "input_noise",
        "l1",
        "l2",
        "max_norm",
        "mixup",
        "orthogonal",
        "random_crop",
        "random_flip",
        "random_rotation",
        "random_shift",
        "weight_noise",
    ],
    "optimizer": ["adagrad", "adam", "adamw", "lion", "nadam", "rmsprop", "sgd"],
    "schedule": [
        "constant",
        "cosine",
        "cosine_restarts",
        "cyclic",
        "exponential",
        "multi_step",
        "one_cycle",
        "plateau",
        "polynomial",
        "step",
        "swa",
    ],
    "averager": ["ema", "swa"],
    "ensemble": [
        "adaboost",
        "average_weights",
        "bagging",
        "checkpoints",
        "distill",
        "ema",
        "fast_geometric",
        "gradient_boosting",
        "greedy",
        "snapshot",
        "soup",
        "stacking",
        "swa",
        "top_k",
        "voting",
    ],
    "importer": ["csv", "graph", "hdf5", "idx", "images", "npy", "npz", "sequences", "text"],
    "search": ["cmaes", "gp", "grid", "quasi_random", "random", "tpe"],
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_nothing_vanishes_from_a_family(registry: Registry, kind: str):
    assert [entry.name for entry in registry.entries(kind)] == EXPECTED[kind]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in EXPECTED.items() for name in names])
def test_component_is_documented_and_writes_itself(registry: Registry, kind: str, name: str):
    component = registry.create(kind, name)
    again = registry.resolve(kind, registry.dump(component))
    assert again == component
    assert type(again) is type(component)
    assert type(component).__module__.endswith(f".{name}")
    for key, field in type(component).model_fields.items():
        if isinstance(field.default, dict):
            continue  # a component by name: documented by its own class
        assert field.description, f"{kind} {name}: {key} has no description"
        assert field.default is not PydanticUndefined, f"{kind} {name}: {key} has no default"
        # What all of a kind have, such as a metric's id, is told by the kind.
        told = any(f"{key}: " in (cls.__doc__ or "") for cls in type(component).__mro__)
        assert told, f"{kind} {name}: {key} is missing in its docstring"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_built_ins_import_what_an_outsider_may(path: Path):
    tree = ast.parse(path.read_text())
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    inner = [module for module in imported if module.startswith("dlcli.") and not module.startswith("dlcli.builtin.")]
    assert inner in ([], ["dlcli.registry"])  # the registrar's type, for type checkers alone


def test_registering_imports_no_torch():
    code = (
        "import sys; from dlcli.plugins import BUILTIN, empty; plugins = empty()\n"
        "for module in BUILTIN:\n"
        "    plugins.load(module, name=module, distribution='dlcli', version='0')\n"
        "found = {'torch', 'numpy', 'pydantic', 'h5py'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
