# ruff: noqa: E501 (tables of cases, one a line)
import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcli.errors import RecipeError
from dlcli.recipe.load import load_recipe

BASE = """[data]
path = "d.h5"
[model]
architecture = "net"
"""
KEYS = "allowed here: name, seed, data, model, train, regularizers, tune, ensemble, log"

# What is added to the recipe (or replaces it, where it has a [data] of its own); place, key and message of the problem.
CASES = [
    # Unknown keys, at every depth.
    ("trian = 1\n" + BASE, "1", "trian", f"unknown key 'trian'; did you mean 'train'?; {KEYS}"),
    ("esnemble = { members = 3 }\n" + BASE, "1", "esnemble", f"unknown key 'esnemble'; did you mean 'ensemble'?; {KEYS}"),
    ("[train]\nepoch = 3", "6", "train.epoch", "unknown key 'epoch'; did you mean 'epochs'?; allowed here: epochs, batch_"),
    ("[train]\nstratify = true", "6", "train.stratify", "unknown key 'stratify'; did you mean data.split.stratify?; allowed"),
    ("[train]\nlr = 0.1", "6", "train.lr", "unknown key 'lr'; did you mean train.optimizer.lr?; allowed here: epochs"),
    ("[train]\nstops = 3", "6", "train.stops", "unknown key 'stops'; allowed here: epochs, batch_size"),
    ("activation = { name = 'leaky', slop = 1 }", "5", "model.activation.slop", "unknown key 'slop'; did you mean 'slope'?; allowed here: name, slope"),
    ("hiden = [3]", "5", "model.hiden", "unknown key 'hiden'; did you mean 'hidden'?; allowed here: architecture, hidden, activation, dropout, padding, kernel, inputs, init"),
    ("name = 'net'", "5", "model.name", "unknown key 'name'; allowed here: architecture, hidden"),
    ("component = 1\n[train]\n", "5", "model.component", "unknown key 'component'"),
    ("[[regularizers]]\nname = 'l2'\n\ncomponent = 3", "8", "regularizers.l2.component", "unknown key 'component'; allowed here: name, select, strength, id"),
    ("[train.keep_checkpoints]\nbest = 2\nworst = 1", "7", "train.keep_checkpoints.worst", "unknown key 'worst'; allowed here: best, last, every_epochs"),
    ("[data.fields.x]\npath = 'i'\nrole = 'input'\nkin = 'image'", "8", "data.fields.x.kin", "unknown key 'kin'; did you mean 'kind'?; allowed here: path, role, kind, classes, names, of"),
    # Wrong types and values.
    ("seed = 'x'\n" + BASE, "1", "seed", 'expected a whole number ≥ 0, got "x"'),
    ("seed = -1\n" + BASE, "1", "seed", "expected a whole number ≥ 0, got -1"),
    ("name = 3\n" + BASE, "1", "name", "expected text in quotes, got 3"),
    ("name = 'a/b'\n" + BASE, "1", "name", "expected a name for a folder: up to 100 letters, digits, '.', '-' and '_', starting with a letter or digit and not ending with '.'; got 'a/b'"),
    ("train = 3\n" + BASE, "1", "train", "expected a table, got 3"),
    ("regularizers = 'l2'\n" + BASE, "1", "regularizers", 'expected a list, each a table, got "l2"'),
    ("[train]\nepochs = 0", "6", "train.epochs", "expected a whole number ≥ 1, got 0"),
    ("[train]\nepochs = 3.0", "6", "train.epochs", "expected a whole number ≥ 1, got 3.0"),
    ("[train]\nepochs = true", "6", "train.epochs", "expected a whole number ≥ 1, got true"),
    ("[train]\ndrop_last = 1", "6", "train.drop_last", "expected true or false, got 1"),
    ("[train]\nselect = 'worst'", "6", "train.select", 'expected "best" or "last", got "worst"'),
    ("[train]\ndevice = 'tpu'", "6", "train.device", 'expected "auto", "cpu", "cuda" or "mps", got "tpu"'),
    ("[train]\nepochs = 1979-05-27", "6", "train.epochs", "expected a whole number ≥ 1, got 1979-05-27"),
    ("[train]\noptimizer = { name = 'adam', lr = nan }", "6", "train.optimizer.lr", "expected a number > 0, got nan"),
    ("[train]\noptimizer = { name = 'adam', lr = '1' }", "6", "train.optimizer.lr", 'expected a number > 0, got "1"'),
    ("[train]\noptimizer = { name = 'adam', betas = [0.9] }", "6", "train.optimizer.betas", "expected a list of 2: a number, a number, got [0.9]"),
    ("[train]\noptimizer = { name = 'adam', betas = [0.9, 'x'] }", "6", "train.optimizer.betas[1]", 'expected a number, got "x"'),
    ("[data.split]\nval = 1", "6", "data.split.val", "expected a number > 0 and < 1, got 1"),
    ("[data]\npath = ''\n[model]\narchitecture = 'net'", "2", "data.path", 'expected text in quotes that is not empty, got ""'),
    ("[data]\npath = 'd'\ntask = 'ranking'\n[model]\narchitecture = 'net'", "3", "data.task", 'expected "binary", "multiclass", "multilabel" or "regression", got "ranking"'),
    ("[data.fields]\nx = 3", "6", "data.fields.x", "expected a table, got 3"),
    ("[data.fields]\nx.path = 'i'\nx.kind = 'sound'", "7", "data.fields.x.kind", 'expected "features", "image", "sequence", "tokens" or "categorical", got "sound"'),
    ("dropout = 1.0", "5", "model.dropout", "expected a number ≥ 0 and < 1, got 1.0"),
    ("hidden = []", "5", "model.hidden", "expected a list of 1 or more, each a whole number ≥ 1, got []"),
    ("hidden = 64", "5", "model.hidden", "expected a list of 1 or more, each a whole number ≥ 1, got 64"),
    ("hidden = [\n  64,\n  0,\n]", "7", "model.hidden[1]", "expected a whole number ≥ 1, got 0"),
    ("padding = 'some'", "5", "model.padding", 'expected "same" or "valid", got "some"'),
    ("kernel = 'x'", "5", "model.kernel", 'expected a whole number or a list of 2: a whole number, a whole number, got "x"'),
    ("kernel = [1, 'x']", "5", "model.kernel", 'expected a whole number or a list of 2: a whole number, a whole number, got [1, "x"]'),
    ("kernel = [" + "1, " * 40 + "2]", "5", "model.kernel", "got [" + "1, " * 25 + "1, …"),
    # Components.
    ("activation = 'relo'", "5", "model.activation", "unknown activation 'relo'; did you mean 'relu'?; there are leaky, relu"),
    ("activation = 'adam'", "5", "model.activation", "but here an activation is wanted; there are leaky, relu"),
    ("activation = 'other:relu'", "5", "model.activation", "the package other is not installed"),
    ("activation = 3", "5", "model.activation", "expected an activation: its name, or a table with its name and parameters, got 3; there are leaky, relu"),
    ("activation = { slope = 1 }", "5", "model.activation.name", "an activation needs its name; there are leaky, relu"),
    ("activation = { name = 3 }", "5", "model.activation.name", "an activation needs its name, got 3; there are leaky, relu"),
    ("init = 'orthogonal'", "5", "model.init", "unknown initializer 'orthogonal'; there are grouped, uniform"),
    ("[train.optimizer]\nlr = 1\nname = 'adm'", "7", "train.optimizer.name", "unknown optimizer 'adm'; did you mean 'adam'?"),
    ("[train]\nmetrics = 'accuracy'", "6", "train.metrics", 'expected a list, each a metric: its name, or a table with its name and parameters, got "accuracy"'),
    ("[train]\nmetrics = ['accuracy',\n 'acuracy']", "7", "train.metrics[1]", "unknown metric 'acuracy'; did you mean 'accuracy'?; there are accuracy, ece"),
    ("[train]\nmetrics = [\n{ name = 'ece', bins = 1 }]", "7", "train.metrics.ece.bins", "expected a whole number ≥ 2, got 1"),
    ("[[regularizers]]\nid = 'a'\nname = 'l3'", "7", "regularizers.a.name", "unknown regularizer 'l3'; there are early_stopping, l2"),
    ("[[regularizers]]\nstrength = 1.0", "5", "regularizers[0].name", "missing: expected text in quotes (which regularizer; there are early_stopping, l2)"),
    ("[[regularizers]]\nid = 'a b'\nname = 'l2'", "6", "regularizers.a b.id", "expected letters, digits, '-' and '_', so that --set can address it; got 'a b'"),
    ("regularizers = ['l3']\n" + BASE, "1", "regularizers.l3.name", "unknown regularizer 'l3'; there are early_stopping, l2"),
    ("regularizers = [3]\n" + BASE, "1", "regularizers[0]", "expected a table, got 3"),
    # One of several types: only what is wrong in the list where a list is there, else all that may be there.
    ("[[ensemble.members]]\narchitecture = 'net'\n\nhiden = [8]", "8", "ensemble.members[0].hiden", "unknown key 'hiden'; did you mean 'hidden'?; allowed here: architecture, hidden"),
    ("[[ensemble.members]]\narchitecture = 'net'\n[[ensemble.members]]\narchitecture = 'nett'", "8", "ensemble.members[1].architecture", "unknown architecture 'nett'; did you mean 'net'?; there are net, pair"),
    ("[[ensemble.members]]\narchitecture = 'net'\ncount = 0", "7", "ensemble.members[0].count", "expected a whole number ≥ 1, got 0"),
    ("[[ensemble.members]]\narchitecture = 'net'\nactivation = { name = 'leaky', slop = 1 }", "7", "ensemble.members[0].activation.slop", "unknown key 'slop'; did you mean 'slope'?"),
    ("[[ensemble.members]]\ncount = 2", "5", "ensemble.members[0].architecture", "missing: expected text in quotes (which architecture; there are net, pair)"),
    ("[ensemble]\nmembers = ['net']", "6", "ensemble.members[0]", 'expected a table, got "net"'),
    ("[ensemble]\nmembers = []", "6", "ensemble.members", "expected a whole number ≥ 1 or a list of 1 or more, each a table, got []"),
    ("[ensemble]\nmembers = 0", "6", "ensemble.members", "expected a whole number ≥ 1 or a list of 1 or more, each a table, got 0"),
    ("[ensemble.members]\narchitecture = 'net'", "5", "ensemble.members", "expected a whole number ≥ 1 or a list of 1 or more, each a table, got { architecture"),
    ("hidden = [0]", "5", "model.hidden[0]", "expected a whole number ≥ 1, got 0"),
    ("[data]\npath = 'd'\n[model]\narchitecture = 3", "4", "model.architecture", "expected text in quotes, got 3"),
    ("[data]\npath = 'd'\n[model]\narchitecture = 'nett'\nhidden = 'anything'", "4", "model.architecture", "unknown architecture 'nett'; did you mean 'net'?; there are net, pair"),
    ("[data]\npath = 'd'\n[model]\nhidden = [3]", "3", "model.architecture", "missing: expected text in quotes (which architecture; there are net, pair)"),
    ("[data]\npath = 'd'\n[model]\narchitecture = 'pair'", "3", "model.first", "missing: expected a whole number (first width)"),
    ("[data]\npath = 'd'\n[model]\narchitecture = 'pair'\nfirst = 10", "3", "model", "second must exceed first; got 9 and 10"),
    ("[model]\narchitecture = 'net'\n[data]\nsplit.val = 0.1", "3", "data.path", "missing: expected text in quotes that is not empty (the HDF5 file, relative to the recipe)"),
    ("[model]\narchitecture = 'net'", "", "data", "missing: expected a table (what to train on)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "key", "message"), CASES, ids=[f"{case[2]}-{i}" for i, case in enumerate(CASES)]
)
def test_a_problem_has_its_line_its_key_what_was_got_and_what_is_allowed(text, line, key, message, write, registry):
    complete = text if "[model]" in text else BASE + text
    tomllib.loads(complete)
    path = write(complete)
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        load_recipe(path, registry)
    assert len(caught.value.problems) == 1, str(caught.value)
    problem = caught.value.problems[0]
    assert problem.key == key
    assert problem.where == (f"{path}:{line}" if line else str(path))
    assert message in problem.message


@pytest.mark.parametrize(
    ("override", "where", "key", "message"),
    [
        ("train.epochs=0", "--set train.epochs", "train.epochs", "expected a whole number ≥ 1, got 0"),
        ("trian.epochs=1", "--set trian.epochs", "trian", "unknown key 'trian'; did you mean 'train'?"),
        ("train.optimizer={name='adam', lrr=1}", "--set train.optimizer", "train.optimizer.lrr", "did you mean 'lr'?"),
        ("train.optimizer.lrr=1", "--set train.optimizer.lrr", "train.optimizer.lrr", "did you mean 'lr'?"),
        ("train.loss.smoothing=0.1", "--set train.loss.smoothing", "train.loss.name", "a loss needs its name; there are"),
        ("name.first=3", "--set name.first", "name.first", 'name is "digits", which has no keys of its own'),
        ("model.hidden=[1, 0]", "--set model.hidden", "model.hidden[1]", "expected a whole number ≥ 1, got 0"),
        ("regularizers.small.strength=-1", "--set regularizers.small.strength", "regularizers.small.strength", "≥ 0, got -1"),
        ("regularizers=['l2', 'l2']", "--set regularizers", "regularizers[1]", "'l2' is there twice"),
    ],
)  # fmt: skip
def test_a_problem_of_an_override_says_so(override, where, key, message, recipe_text, write, registry):
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        load_recipe(write(recipe_text), registry, [override])
    assert len(caught.value.problems) == 1, str(caught.value)
    problem = caught.value.problems[0]
    assert (problem.where, problem.key) == (where, key)


def test_an_override_takes_the_blame_for_what_it_replaced_and_the_file_for_the_rest(recipe_text, write, registry):
    text = recipe_text.replace('optimizer = "adam"', "optimizer = { name = 'adam', lr = -1 }")
    with pytest.raises(
        RecipeError, match=r"--set train\.optimizer: train\.optimizer\.lr: expected a number > 0, got -2"
    ):
        load_recipe(write(text), registry, ["train.optimizer={name='adamw', lr=-2}"])
    with pytest.raises(RecipeError, match=r"mine\.toml:14: train\.optimizer\.lr: expected a number > 0, got -1"):
        load_recipe(write(text), registry, ["train.optimizer.weight_decay=0.1"])


def test_the_key_is_not_repeated_after_the_same_override(recipe_text, write, registry):
    with pytest.raises(RecipeError, match="\n  --set train.epochs: expected a whole number"):
        load_recipe(write(recipe_text), registry, ["train.epochs=0"])


def test_a_mapping_has_no_lines(registry):
    with pytest.raises(RecipeError, match=r"1 problem in the recipe:\n  seed: expected a whole number ≥ 0, got -1"):
        load_recipe({"seed": -1, "data": {"path": "d"}, "model": {"architecture": "net"}}, registry)


words = st.sampled_from(
    [
        "name",
        "id",
        "architecture",
        "component",
        "net",
        "pair",
        "l2",
        "adam",
        "relu",
        "ece",
        "lr",
        "optimizer",
        "x",
        "",
        "a.b",
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | words | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
SPOTS = [
    ("data",), ("data", "path"), ("data", "fields"), ("data", "split"), ("data", "preprocess"), ("model",),
    ("model", "architecture"), ("model", "hidden"), ("model", "activation"), ("model", "kernel"), ("model", "init"),
    ("model", "component"), ("train",), ("train", "loss"), ("train", "optimizer"), ("train", "schedule"),
    ("train", "metrics"), ("train", "monitor"), ("train", "keep_checkpoints"), ("regularizers",), ("ensemble",),
    ("ensemble", "members"), ("log",), ("other",),
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_a_recipe_or_told_in_our_words(data, recipe_text, registry):
    table = tomllib.loads(recipe_text)
    for spot in data.draw(st.lists(st.sampled_from(SPOTS), min_size=1, max_size=3)):
        parent = table if len(spot) == 1 else table.get(spot[0])
        if isinstance(parent, dict):
            parent[spot[-1]] = data.draw(anything)
    overrides = data.draw(st.lists(st.sampled_from(["train.optimizer.lr=1", "regularizers.l2.id=a", "model.x.y=3"])))
    try:
        load_recipe(table, registry, overrides)
        messages = []
    except RecipeError as error:
        messages = [problem.message for problem in error.problems] or ["no problem"]
    pydantic = re.compile(r"Input should be|Value error|Extra inputs|Field required|no problem")
    assert not [message for message in messages if pydantic.search(message)]
