import json
import tomllib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.resolved import resolve, to_toml

RESOLVED = """\
# Written by a test.
#
# Do not edit.
name = "digits"
seed = 3

[data]
path = "/data/digits.h5"
split = { val = 0.2, stratify = true }
preprocess = [{ name = "fakes:standardize" }]
scale_target = false

[data.fields]
x = { path = "images" }

[model]
architecture = "fakes:net"
inputs = []
hidden = [128, 64]
activation = { name = "fakes:leaky", slope = 0.1 }
dropout = 0.0
padding = "same"
kernel = 3

[train]
epochs = 20
batch_size = 64
optimizer = { name = "fakes:adam", lr = 0.001, weight_decay = 0.0, betas = [0.9, 0.999] }
schedule = { name = "fakes:cosine", warmup_epochs = 2.0, warmup_start_factor = 0.0 }
metrics = [{ name = "fakes:accuracy" }, { name = "fakes:ece", bins = 5 }]
monitor = "val_accuracy"
rows = "train"
select = "best"
seeds = 1
engine = "auto"
drop_last = false
accumulate = 1
sampling = "shuffled"
precision = "float32"
activation_checkpointing = false
compile = false
deterministic = false
device = "auto"
checkpoint_seconds = 30.0
keep_checkpoints = { best = 1, last = 1, every_epochs = 0 }

[[regularizers]]
name = "fakes:early_stopping"
select = "weights"
patience = 5

[[regularizers]]
name = "fakes:l2"
id = "small"
select = "weights"
strength = 0.0001

[log]
tensorboard = false
"""


def test_every_default_is_written_out_and_laid_out_for_people(recipe_text, write, registry):
    recipe = load_recipe(write(recipe_text), registry, ["data.path=/data/digits.h5", "data.fields.x=images"])
    table = resolve(recipe, registry)
    assert to_toml(table, "Written by a test.\n\nDo not edit.") == RESOLVED
    assert tomllib.loads(RESOLVED) == table == json.loads(json.dumps(table))


def test_long_lists_get_a_line_for_each_item():
    table = {"train": {"metrics": [{"name": f"fakes:metric_number_{number}"} for number in range(4)]}}
    text = to_toml(table)
    assert text.count("\n    { name") == 4
    assert tomllib.loads(text) == table


text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
shares = st.none() | st.floats(0.01, 0.49)
strengths = st.floats(0, 1e6)


@st.composite
def recipes(draw):
    return {
        "name": draw(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,9}[a-z0-9])?", fullmatch=True)),
        "seed": draw(st.integers(0, 2**63)),
        "data": {
            "path": "/" + draw(text.filter(lambda path: not {"/", "\0"} & set(path) and path not in (".", ".."))),
            "fields": draw(st.dictionaries(text, text | st.fixed_dictionaries({"path": text, "of": text}), max_size=2)),
            "split": {"val": draw(shares), "test": draw(shares), "stratify": draw(st.none() | st.booleans())},
            "preprocess": draw(st.lists(st.just("standardize"), max_size=2)),
            "task": draw(st.none() | st.sampled_from(["binary", "multiclass", "multilabel", "regression"])),
        },
        "model": {
            "architecture": "net",
            "hidden": draw(st.lists(st.integers(1, 9), min_size=1, max_size=60)),
            "activation": draw(st.just("relu") | st.floats(0, 1).map(lambda slope: {"name": "leaky", "slope": slope})),
            "kernel": draw(st.integers() | st.tuples(st.integers(), st.integers())),
            "init": draw(st.none() | st.just("uniform")),
        },
        "train": {
            "optimizer": {"name": "adam", "lr": draw(st.floats(0, exclude_min=True, allow_infinity=False))},
            "metrics": draw(st.none() | st.lists(st.sampled_from(["accuracy", "ece"]), unique=True)),
            "drop_last": draw(st.booleans()),
        },
        "regularizers": [
            {"name": "l2", "id": identity, "strength": draw(strengths)}
            for identity in draw(st.lists(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), unique=True, max_size=3))
        ],
    }  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(recipe=recipes())
def test_a_resolved_recipe_loads_as_the_same_recipe(recipe, registry):
    loaded = load_recipe(recipe, registry)
    table = resolve(loaded, registry)
    written = tomllib.loads(to_toml(table))
    assert written == table
    assert load_recipe(written, registry) == loaded
    assert resolve(load_recipe(written, registry), registry) == table


def test_the_recipe_of_the_design_loads_with_the_built_ins_and_survives_being_written(write):
    registry = load_plugins().registry
    recipe = load_recipe(
        write("""
        name = "digits-mlp"
        seed = 0
        [data]
        path = "digits.h5"
        split = { val = 0.2, stratify = true }
        preprocess = ["standardize"]
        [model]
        architecture = "mlp"
        hidden = [128, 128]
        activation = { name = "leaky_relu", slope = 0.1 }
        norm = "batch"
        dropout = 0.1
        [train]
        epochs = 30
        batch_size = 64
        loss = "cross_entropy"
        optimizer = { name = "adamw", lr = 1e-3, weight_decay = 1e-2 }
        schedule = { name = "cosine", warmup_epochs = 2 }
        metrics = ["accuracy"]
        monitor = "val_loss"
        [[regularizers]]
        name = "early_stopping"
        patience = 5
        [log]
        tensorboard = false
        """),
        registry,
    )
    table = resolve(recipe, registry)
    assert table["model"]["activation"] == {"name": "dlcli:leaky_relu", "slope": 0.1}
    assert load_recipe(tomllib.loads(to_toml(table)), registry) == recipe
