import pytest

from dlcli.errors import RecipeError
from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.tune_checks import FIXED

HEAD = """\
[data]
path = "x.h5"
[model]
architecture = "mlp"
[train]
optimizer = "sgd"
[[regularizers]]
name = "l2"
[tune.space]
"""
LINE = HEAD.count("\n") + 1


@pytest.fixture(scope="module")
def registry():
    return load_plugins(third_parties=False).registry


@pytest.fixture
def problems(tmp_path, registry):
    def found(space, head=HEAD):
        path = tmp_path / "mine.toml"
        path.write_text(head + space)
        with pytest.raises(RecipeError) as caught:
            load_recipe(path, registry)
        return [str(problem).removeprefix(str(path)) for problem in caught.value.problems]

    return found


CASES = [
    # keys
    (
        '"train.optimizer.lrr" = { uniform = [0.1, 1] }',
        "unknown key 'lrr'; did you mean 'lr'?; allowed here: name",
    ),
    ('"trian.epochs" = { int = [1, 2] }', "unknown key 'trian'; did you mean 'train'?; allowed here: name, seed,"),
    ('"regularizers.l3.strength" = { uniform = [0, 1] }', "regularizers has no 'l3'; there are l2; write it there"),
    ('"model.hidden.0" = { int = [1, 2] }', "model.hidden has no '0'; its items have no names: set the whole list"),
    ('"regularizers.l2" = { choice = ["l2"] }', "set one of its parameters, such as regularizers.l2.…, or the whole"),
    ('"a b" = { choice = [1] }', '"a b" is no dotted key, such as "train.optimizer.lr"'),
    ("train.epochs = { int = [1, 2] }", 'put the whole dotted key in quotes: "train.epochs…" = { … }'),
    ('"train.loss" = { choice = ["mse"] }', "train.loss cannot be tuned while trials are compared by val_loss, which"),
    ('"train.loss.x" = { int = [1, 2] }', "set train.monitor to a metric, such as val_accuracy"),
    # distributions
    (
        '"train.epochs" = { inte = [1, 2] }',
        "unknown key 'inte'; did you mean 'int'?; allowed here: uniform",
    ),
    (
        '"train.epochs" = {}',
        "where do its values come from? expected one of uniform, log_uniform, int",
    ),
    ('"train.epochs" = 3', "expected a table, got 3"),
    ('"train.epochs" = { int = [1, 2], choice = [1] }', "expected one distribution, got int and choice: leave one"),
    ('"train.epochs" = { int = [2, 2] }', "the lowest value must be below the highest, got [2, 2]"),
    ('"model.dropout" = { uniform = [0.5, 0.1] }', "the lowest value must be below the highest, got [0.5, 0.1]"),
    (
        '"model.dropout" = { log_uniform = [0, 0.1] }',
        "a logarithmic range must be > 0 throughout, got [0, 0.1]: ",
    ),
    ('"train.epochs" = { log_int = [-1, 4] }', "a logarithmic range must be > 0 throughout, got [-1, 4]: start at 1"),
    ('"model.dropout" = { normal = [0.1, 0] }', "the standard deviation must be > 0, got 0: write [mean, deviation]"),
    ('"model.dropout" = { uniform = [0.1] }', "expected a list of 2: a number, a number, got [0.1]"),
    (
        '"model.dropout" = { uniform = [0.1, 0.2, 0.3] }',
        "expected a list of 2: a number, a number, got",
    ),
    ('"model.dropout" = { uniform = ["a", 0.3] }', 'expected a number, got "a"'),
    ('"train.epochs" = { int = [1.5, 3] }', "expected a whole number, got 1.5"),
    ('"train.epochs" = { choice = [] }', "expected a list of 1 or more, got []"),
    # types
    ('"train.epochs" = { uniform = [1, 3] }', "takes a whole number ≥ 1: use int or log_int instead of uniform"),
    ('"train.epochs" = { normal = [5, 1] }', "takes a whole number ≥ 1: use int or log_int instead of normal"),
    ('"model.dropout" = { int = [0, 1] }', "takes a number ≥ 0 and < 1: use uniform or log_uniform instead of int"),
    (
        '"model.hidden" = { int = [1, 9] }',
        "takes a list, each a whole number ≥ 1, no number: use choice",
    ),
    ('"train.select" = { uniform = [0, 1] }', 'takes "best" or "last", no number: use choice instead of uniform'),
    # values
    ('"model.dropout" = { uniform = [0, 1.5] }', "1.5 is refused: expected a number ≥ 0 and < 1, got 1.5"),
    ('"model.dropout" = { uniform = [-0.5, 0.5] }', "-0.5 is refused: expected a number ≥ 0 and < 1, got -0.5"),
    ('"model.dropout" = { normal = [2, 0.5] }', "2.0 is refused: expected a number ≥ 0 and < 1, got 2.0"),
    (
        '"model.activation" = { choice = ["relu", "rlu"] }',
        "\"rlu\" is refused: unknown activation 'rlu'; did you mean",
    ),
    (
        '"model.architecture" = { choice = ["mpl"] }',
        "\"mpl\" is refused: unknown architecture 'mpl'; did you mean",
    ),
    (
        '"model.architecture" = { choice = [{ name = "mlp", hidden = ["a"] }] }',
        'is refused: model.hidden[0]: expected a whole number ≥ 1, got "a"',
    ),
    (
        '"train.schedule" = { choice = [{ name = "cosine", warmup_epochs = 40 }] }',
        "is refused: a warm-up of 40 epochs leaves nothing of train.epochs = 30",
    ),
    # conditions
    ('"model.dropout" = { uniform = [0, 0.5], when = {} }', "expected one other key, such as"),
    ('"model.dropout" = { uniform = [0, 0.5], when = { a = [1], b = [1] } }', "expected one other key, such as"),
    (
        '"model.dropout" = { uniform = [0, 0.5], when = { "train.optimizer" = ["sgd"] } }',
        "train.optimizer is not in the space; a condition names another key of it, a choice",
    ),
]


@pytest.mark.parametrize(("line", "message"), CASES)
def test_a_problem_of_the_space_is_told_at_its_line(problems, line, message):
    found = problems(line)
    assert any(problem.startswith(f":{LINE}: tune.space.") and message in problem for problem in found), found


OTHERS = (
    '"train.optimizer" = { choice = ["adam", { name = "sgd", nesterov = false }] }\n"train.epochs" = { int = [1, 9] }\n'
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '"model.dropout" = { uniform = [0, 0.5], when = { "train.optimiser" = ["sgd"] } }',
            "train.optimiser is not in the space; did you mean 'train.optimizer'?; a condition names another key",
        ),
        (
            '"model.dropout" = { uniform = [0, 0.5], when = { "train.optimizer" = ["sdg"] } }',
            'train.optimizer is never "sdg"; its values are "adam", "sgd"',
        ),
        (
            '"model.dropout" = { uniform = [0, 0.5], when = { "train.optimizer" = [] } }',
            "expected at least one value",
        ),
        (
            '"model.dropout" = { uniform = [0, 0.5], when = { "train.epochs" = [1] } }',
            "train.epochs is not a choice: a condition needs one with a few values",
        ),
        (
            '"train.optimizer.momentum" = { uniform = [0, 0.5] }',
            "unknown key 'momentum'; allowed here: name, lr, weight_decay, betas, eps, "
            'with train.optimizer = "adam"; '
            'to tune it with others alone, add when = { "train.optimizer" = ["sgd"] }',
        ),
        (
            '"train.optimizer.momentum" = { uniform = [0, 0.5], when = { "train.optimizer" = ["adam"] } }',
            "unknown key 'momentum'; allowed here: name, lr, weight_decay, betas, eps",
        ),
        ("\"train.'epochs'\" = { int = [1, 9] }", 'the same key as "train.epochs": remove one of them'),
        (
            '"model.norm" = { choice = ["none"], when = { "model.norm" = ["none"] } }',
            "conditions go round in a circle: model.norm → model.norm",
        ),
    ],
)
def test_a_problem_with_other_keys_is_told_at_its_line(problems, line, message):
    found = problems(OTHERS + line)
    assert any(problem.startswith(f":{LINE + 2}: tune.space.") and message in problem for problem in found), found


def test_a_circle_of_conditions_is_told_once_for_each_of_its_keys_alone(problems):
    found = problems(
        '"model.norm" = { choice = ["none"], when = { "model.activation" = ["relu"] } }\n'
        '"model.activation" = { choice = ["relu"], when = { "model.norm" = ["none"] } }\n'
        '"model.dropout" = { uniform = [0, 0.5], when = { "model.norm" = ["none"] } }\n'
    )
    assert len(found) == 2
    assert "conditions go round in a circle: model.norm → model.activation → model.norm" in found[0]


@pytest.mark.parametrize(("path", "reason"), FIXED.items(), ids=lambda value: str(value))
def test_what_may_not_be_tuned_is_refused_with_the_reason(problems, path, reason):
    key = ".".join(path)
    found = problems(f'"{key}" = {{ choice = [1] }}')
    assert any(f"{key} cannot be tuned: {reason}" in problem for problem in found)
    inner = problems(f'"{key}.x" = {{ choice = [1] }}')
    assert any(f"{key}.x cannot be tuned: {reason}" in problem for problem in inner)


def test_all_problems_are_told_at_once_in_their_order(problems):
    found = problems(
        "\n".join(line for line, _ in CASES[:5]), HEAD.replace("[tune.space]", "[tune]\ntrials = 0\n[tune.space]")
    )
    assert [int(problem.split(":")[1]) for problem in found] == [LINE, *range(LINE + 2, LINE + 7)]


def test_faults_of_the_recipe_itself_are_not_told_again_for_each_value(problems):
    found = problems('"model.dropout" = { uniform = [0, 0.5] }', HEAD.replace('"sgd"', '"sdg"').replace("x.h5", ""))
    assert len(found) == 2
    assert all("tune.space" not in problem for problem in found)


@pytest.mark.parametrize(
    "space",
    [
        "",
        '"model.dropout" = { choice = [0.5] }',
        '"model.hidden" = { choice = [[1], [2, 2]] }\n"train.drop_last" = { choice = [true, false] }',
        '"train.optimizer" = { choice = ["adam", "sgd"] }\n"train.optimizer.lr" = { log_uniform = [1e-4, 1] }\n'
        '"train.optimizer.momentum" = { normal = [0.5, 0.2], when = { "train.optimizer" = ["sgd"] } }',
        '"model.architecture" = { choice = ["mlp", "linear", { name = "mlp", hidden = [3] }] }\n'
        '"model.dropout" = { uniform = [0.0, 0.5], when = { "model.architecture" = ["mlp"] } }',
        '"train.schedule" = { choice = ["constant", "cosine"] }\n"train.schedule.warmup_epochs" = { uniform = [0, 5] }',
        '"regularizers.l2.strength" = { log_uniform = [1e-6, 1e-2] }\n"data.preprocess" = { choice = [[], ["scale"]] }',
    ],
)
def test_a_sound_space_is_taken(tmp_path, registry, space):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + space)
    assert len(load_recipe(path, registry).tune.space) == space.count('" = {')


def test_a_loss_may_be_tuned_where_trials_are_compared_by_a_metric(tmp_path, registry):
    path = tmp_path / "mine.toml"
    head = HEAD.replace('"sgd"', '"sgd"\nmonitor = "val_accuracy"\nloss = "cross_entropy"')
    path.write_text(head + '"train.loss" = { choice = ["cross_entropy"] }')
    assert load_recipe(path, registry).tune is not None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trials = 0", "tune.trials: expected a whole number ≥ 1, got 0"),
        ("time_minutes = 0.0", "tune.time_minutes: expected a number > 0, got 0.0"),
        ("stages = 0", "tune.stages: expected a whole number ≥ 1, got 0"),
        ("kfold = 1", "tune.kfold: expected a whole number ≥ 2, got 1"),
        ("keep = 0", "tune.keep: expected a whole number ≥ 1, got 0"),
        ("population = 0", "tune.population: expected a whole number ≥ 1, got 0"),
        ("halving = 1", "tune.halving: expected true or false, got 1"),
        ('method = "tpee"', "tune.method: unknown search 'tpee'; did you mean 'tpe'?"),
        ('method = { name = "grid", points = 0 }', "tune.method.points: expected a whole number ≥ 1, got 0"),
        ("workers = 2", "tune.workers: unknown key 'workers'; allowed here: method, trials,"),
    ],
)
def test_a_problem_of_the_section_is_told(problems, line, message):
    (found,) = problems("", HEAD.replace("[tune.space]", f"[tune]\n{line}"))
    assert message in found
