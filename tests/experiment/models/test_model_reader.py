"""Model folders that somebody damaged, or made to do harm: refused with the cause, before what they claim is made."""

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dlcli import ensemble, load, train
from dlcli.errors import DataError, PluginError

DIGITS = Path(__file__).parents[3] / "recipes/digits/digits.h5"


@pytest.fixture(scope="module")
def folders(tmp_path_factory, plugins):
    """Model folders of one network, and of a stack of three."""
    root = tmp_path_factory.mktemp("models")
    recipe = {
        "name": "one",
        "data": {"path": str(DIGITS), "preprocess": ["standardize"]},
        "model": {"architecture": "mlp", "hidden": [8], "norm": "batch"},
        "train": {"epochs": 1},
    }
    stack = {"strategy": {"name": "stacking", "folds": 2, "meta_epochs": 1}, "members": 2}
    one = train(recipe, runs=root, plugins=plugins).run
    many = ensemble({**recipe, "name": "stack", "ensemble": stack}, runs=root, plugins=plugins).run
    return {"one": one / "model", "stack": many / "model"}


@pytest.fixture
def damaged(folders, tmp_path, plugins):
    """Change a copy of a folder and load it: `change` gets the table of model.json and the tensors."""

    def make(change, which="one"):
        folder = tmp_path / which
        shutil.copytree(folders[which], folder)
        table, tensors = json.loads((folder / "model.json").read_text()), load_file(folder / "model.safetensors")
        change(table, tensors)
        (folder / "model.json").write_text(json.dumps(table))
        save_file(tensors, folder / "model.safetensors")
        return load(folder, plugins=plugins)

    return make


def put(*path, value):
    """Return a change that puts a value at a place of model.json."""

    def change(table, tensors):
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = value

    return change


def weights(name, value):
    """Return a change that puts another tensor in the place of one, or changes it."""

    def change(table, tensors):
        tensors[name] = value(tensors[name])

    return change


def first_to(value):
    def change(tensor):
        tensor.view(-1)[0] = value
        return tensor

    return change


ONE = {
    "a path of a module": (
        put("architecture", "name", value="builtins.eval"),
        r"'builtins\.eval' cannot be the name of an architecture: .*nothing is imported by the path",
    ),
    "a function": (
        put("loss", "name", value="os:system"),
        r"unknown loss 'os:system'; the package os is not installed",
    ),
    "a path": (put("architecture", "name", value="../../x"), r"'\.\./\.\./x' cannot be the name of an architecture"),
    "a long name": (put("architecture", "name", value="x" * 10**6), r"'x{120}' cannot be the name"),
    "another kind": (put("architecture", "name", value="relu"), r"'relu' is the name of an activation, but here"),
    "unknown parameter": (put("architecture", "x", value=1), r"MLP: x: Extra inputs are not permitted"),
    "huge layer": (
        put("architecture", "hidden", value=[10**9]),
        r"building the mlp takes more than \d+ bytes of memory",
    ),
    "many layers": (
        put("architecture", "hidden", value=[1] * 10**5),
        r"building the mlp takes more than \d+ operations",
    ),
    "huge numbers": (put("architecture", "hidden", value=[2**62, 2**62]), r"mlp cannot be built by it"),
    "negative size": (put("io", "inputs", 0, "shape", value=[1, -8, 8]), r"'x' has the shape \(1, -8, 8\)"),
    "huge image": (put("inputs", 0, "shape", value=[1, 10**9, 10**9]), r"'x' has the shape"),
    "long shape": (put("inputs", 0, "shape", value=[7] * 10**6), r"'x' has the shape \(7, 7, 7, 7, 7, 7, 7, 7\)"),
    "other image": (
        put("inputs", 0, "shape", value=[1, 8, 9]),
        r"x is \(1, 8, 9\) after preprocessing, not \(1, 8, 8\)",
    ),
    "many outputs": (put("io", "outputs", value=10**9), r"multiclass with 1000000000 outputs and 10 classes"),
    "other task": (put("io", "task", value="binary"), r"binary with 10 outputs and 10 classes"),
    "other input": (put("io", "inputs", 0, "name", value="z"), r"the network takes z, the fields are x"),
    "no table": (put("io", value=[1]), r"expected a table, got list"),
    "a number as text": (put("io", "outputs", value="10"), r"expected a whole number, got '10'"),
    "a type of Python": (put("inputs", 0, "dtype", value="load"), r"is said to be 'input', 'image' of 'load'"),
    "columns": (put("columns", value={"x": [3]}), r"cannot answer \(RuntimeError: INDICES element is out of"),
    "a package to install": (
        put("packages", value={"x; rm -rf ~": "1"}),
        r"its packages are .* expected names and versions",
    ),
    "other format": (put("format", value=2), r"is of another format; this dlcli reads format 1"),
    "int64": (
        weights("network.head.weight", lambda t: t.long()),
        r"head\.weight is \(10, 8\) of int64, expected \(10, 8\) of",
    ),
    "transposed": (weights("network.head.weight", lambda t: t.T.contiguous()), r"is \(8, 10\) of float32, expected"),
    "NaN": (
        weights("network.head.weight", first_to(float("nan"))),
        r"network\.head\.weight holds numbers that are not",
    ),
    "infinite": (
        weights("preprocess.x.0.mean", first_to(float("inf"))),
        r"preprocess\.x\.0\.mean holds numbers that are not",
    ),
    "far too large": (
        weights("network.head.bias", first_to(1e37)),
        r"network\.head\.bias holds numbers .* far beyond those",
    ),
    "variance": (
        weights("network.blocks.0.normalization.running_var", lambda t: -t - 1),
        r"its answers are not finite",
    ),
    "a lacking tensor": (lambda table, tensors: tensors.pop("network.head.bias"), r"it lacks head\.bias"),
    "an odd tensor": (lambda table, tensors: tensors.update(**{"network.z": torch.ones(1)}), r"nothing takes its z"),
    "no network": (lambda table, tensors: tensors.clear(), r"holds no weights of the network"),
    "no preprocessing": (lambda table, tensors: tensors.pop("preprocess.x.0.mean"), r"it cannot answer \(KeyError"),
}
PART = ("combination", "parts", 0)
STACK = {
    "a path": (put(*PART, "identity", value="../../x"), r"a member is called '\.\./\.\./x', which is no name"),
    "a NUL": (put(*PART, "identity", value="a\0b"), r"a member is called 'a\\x00b'"),
    "twice": (put(*PART, "identity", value="member-1"), r"'member-1', which is no name or is there twice"),
    "a negative model": (put(*PART, "model", value=-1), r"is model -1, of \d"),
    "NaN": (put("combination", "temperature", value=-1.0), r"its temperature is -1\.0, expected a number above 0"),
    "nobody": (put("combination", "members", value=[]), r"it combines , but holds"),
    "twice combined": (put("combination", "members", value=["meta", "meta"]), r"a member is combined twice"),
    "a circle": (
        put("combination", "fed", "member-0", value={"x": [["meta"]]}),
        r"fed by nobody, or by itself in the end",
    ),
    "fed by nobody": (put("combination", "fed", "meta", value={}), r"meta is fed by nobody"),
    "other task": (put("combination", "task", value="binary"), r"answers another task than the rest"),
    "no list": (put("combination", "parts", value={"a": 1}), r"expected a list, got dict"),
}


@pytest.mark.parametrize("case", ONE)
def test_a_damaged_network_is_refused_with_the_cause(damaged, case):
    change, message = ONE[case]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=message):
        damaged(change)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 * 1024, f"{grown // 1024} MiB"


@pytest.mark.parametrize("case", STACK)
def test_a_damaged_combination_is_refused_with_the_cause(damaged, case):
    change, message = STACK[case]
    with pytest.raises(DataError, match=message):
        damaged(change, "stack")


def test_a_file_that_cannot_be_json_is_refused(folders, tmp_path, plugins):
    shutil.copytree(folders["stack"], tmp_path / "x")
    text = (tmp_path / "x/model.json").read_text()
    (tmp_path / "x/model.json").write_text(text.replace('"temperature": null', '"temperature": NaN'))
    with pytest.raises(DataError, match=r"cannot read the model .*model\.json: NaN is no number in JSON"):
        load(tmp_path / "x", plugins=plugins)


def test_combinations_nested_too_deeply_are_refused(damaged):
    def change(table, tensors):
        for _ in range(20):
            table["models"] = [{"combination": table["combination"], "models": table["models"]}]
            table["combination"] = {**table["combination"], "parts": [{"identity": "a", "model": 0}], "members": ["a"]}
            table["combination"]["fed"] = {}

    with pytest.raises(DataError, match="nested deeper than 16"):
        damaged(change, "stack")


def test_wirings_that_double_at_every_step_take_no_time(damaged):
    """Each member is fed twice by the one before: 2**60 ways from the last to the first."""

    def change(table, tensors):
        combination = table["combination"]
        combination["parts"] = [{"identity": f"m{i}", "model": 0} for i in range(60)]
        combination["fed"] = {f"m{i}": {"a": [[f"m{i - 1}"]], "b": [[f"m{i - 1}"]]} for i in range(1, 60)}
        combination["members"] = ["m59"]

    with pytest.raises(DataError, match="holds no weights of the network"):
        damaged(change, "stack")


def test_a_combiner_of_another_shape_is_refused(damaged, plugins):
    def change(table, tensors):
        table["combination"] |= {"strategy": {"name": "dlcli:voting"}, "settings": {"vote": "soft"}, "fed": {}}
        table["combination"]["members"] = ["member-0", "member-1"]
        tensors["combiner.weights"] = torch.ones(3)

    with pytest.raises(DataError, match="voting cannot combine by it"):
        damaged(change, "stack")


def test_masks_may_be_infinite_where_they_are_built_so(folders, plugins):
    """A network of others may keep −∞ in a buffer; the rest of it must be finite all the same."""
    from torch import nn

    from dlcli.experiment.models.model_build import check_numbers

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))

    check_numbers({"network.mask": torch.tensor([0.0, float("-inf")])}, Masked(), "damaged")
    with pytest.raises(DataError, match=r"network\.mask holds numbers"):
        check_numbers({"network.mask": torch.tensor([float("-inf"), float("-inf")])}, Masked(), "damaged")


def test_a_link_out_of_the_folder_is_refused(folders, tmp_path, plugins):
    shutil.copytree(folders["one"], tmp_path / "x")
    (tmp_path / "x/model.safetensors").unlink()
    (tmp_path / "x/model.safetensors").symlink_to(folders["one"] / "model.safetensors")
    with pytest.raises(DataError, match="a link that leaves its folder"):
        load(tmp_path / "x", plugins=plugins)


def test_packages_that_are_absent_are_named_as_the_models_wish(damaged):
    with pytest.raises(
        PluginError, match=r"pip install dlcli-rare==1\.2, if you trust them; dlcli installs and imports"
    ):
        damaged(put("packages", value={"dlcli-rare": "1.2"}))
