"""Every command once, from the dataset to the leaderboard, as a newcomer types them."""

import json
import signal
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli import atomic
from dlcli.cli.app import run


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a dataset, a recipe and one finished run."""
    folder = tmp_path_factory.mktemp("workplace")
    generator = np.random.default_rng(0)
    with h5py.File(folder / "blobs.h5", "w") as file:
        for split, rows in (("train", 120), ("val", 30), ("test", 30)):
            labels = np.arange(rows) % 3
            file[f"{split}/x"] = (generator.normal(size=(rows, 4)) + 3 * labels[:, None]).astype("float32")
            file[f"{split}/y"] = labels
            file[f"{split}/y"].attrs["classes"] = ["low", "mid", "high"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCLI_PLUGINS", "")
        patch.chdir(folder)
        assert run(["init", "blobs.h5", "--quiet"]) == 0
        assert run(["train", "--set", "train.epochs=3", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(request, monkeypatch):
    if "workplace" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("workplace"))


def test_init_writes_a_recipe_and_says_what_next(dlcli, workplace, tmp_path):
    outcome = dlcli("init", "blobs.h5", "-o", str(tmp_path / "first.toml"))
    assert outcome.code == 0
    assert "Next: dlcli train" in " ".join(outcome.out.split())
    assert tomllib.loads((tmp_path / "first.toml").read_text())["name"] == "blobs"


def test_init_does_not_overwrite(dlcli, workplace):
    before = Path("recipe.toml").read_text()
    outcome = dlcli("init", "blobs.h5")
    assert outcome.code == 2
    assert "recipe.toml is there already" in outcome.err
    assert Path("recipe.toml").read_text() == before


def test_build(dlcli, workplace):
    outcome = dlcli("build")
    assert outcome.code == 0
    assert "multiclass, 3 classes: low, mid, high" in outcome.out
    assert "blocks.0.affine" in outcome.out
    assert dlcli("build", "--json").json["parameters"] > 0
    assert dlcli("build", "-q") == (0, "", "")


def test_build_obeys_set(dlcli, workplace):
    layers = dlcli("build", "--json", "--set", "model.hidden=[7]", "--set", "train.batch_size=8").json["layers"]
    assert layers[0]["output_shape"] == [7]


def test_train_shows_a_line_an_epoch_and_a_summary(dlcli, workplace, tmp_path):
    outcome = dlcli("train", "recipe.toml", "--set", "train.epochs=2", "--name", "plain", "--runs", str(tmp_path))
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/2", "2/2"]
    assert f"run      {tmp_path}/plain/0001  finished" in lines
    assert f"next     dlcli evaluate {tmp_path}/plain/0001 --data FILE.h5" in lines
    assert outcome.err == ""


def test_train_json_is_one_object_with_progress_on_stderr(dlcli, workplace, tmp_path):
    outcome = dlcli("train", "--set", "train.epochs=2", "--json", "--runs", str(tmp_path))
    assert outcome.json["status"] == "finished"
    assert outcome.json["epochs"] == 2
    assert set(outcome.json["test"]) == {"loss", "accuracy", "ece"}
    assert outcome.err.count("epoch") >= 2
    assert dlcli("train", "--set", "train.epochs=2", "--json", "-q", "--runs", str(tmp_path)).err == ""


def test_train_from_another_run(dlcli, workplace, tmp_path):
    words = ("train", "--from", "blobs", "--freeze", "blocks.*", "--set", "train.epochs=2")
    outcome = dlcli(*words, "--name", "tuned", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["run"] == "runs/tuned/0001"


def test_all_problems_of_a_recipe_are_told(dlcli, workplace):
    outcome = dlcli("train", "--set", "train.epochs=0", "--set", "model.hiden=[1]", "--json")
    assert outcome.code == 2
    problems = outcome.json["error"]["problems"]
    assert {problem["where"] for problem in problems} == {"--set train.epochs", "--set model.hiden"}


def test_ctrl_c_saves_says_how_to_go_on_and_resume_goes_on(dlcli, workplace, tmp_path, monkeypatch):
    from dlcli.report.plain import PlainDisplay

    def stop(display, member, record, history):
        if record.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(PlainDisplay, "epoch_finished", stop)
        outcome = dlcli("train", "--runs", str(tmp_path))
    assert outcome.code == 130
    resume = ["dlcli", "train", "--resume", f"{tmp_path}/blobs/0001"]
    assert outcome.out.splitlines()[-1].split()[2:] == resume
    finished = dlcli(*resume[1:], "--json")
    assert finished.code == 0, finished.err
    assert finished.json["status"] == "finished"


def test_an_interrupted_run_says_so_even_when_quiet(dlcli, workplace, tmp_path, monkeypatch):
    from dlcli.report.plain import QuietDisplay

    def stop(display, member, record, history):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(QuietDisplay, "epoch_finished", stop)
    outcome = dlcli("train", "--runs", str(tmp_path), "-q")
    assert (outcome.code, outcome.out) == (130, "")
    assert f"dlcli train --resume {tmp_path}/blobs/0001" in outcome.err


def test_resume_takes_no_recipe(dlcli, workplace):
    outcome = dlcli("train", "recipe.toml", "--resume", "blobs")
    assert outcome.code == 2
    assert "give neither a recipe nor" in outcome.err


def test_evaluate(dlcli, workplace):
    outcome = dlcli("evaluate", "blobs")
    assert outcome.code == 0
    assert "test, 30 rows" in outcome.out
    summary = json.loads(Path("runs/blobs/0001/run.json").read_text())
    assert dlcli("evaluate", "runs/blobs/0001", "--json").json["metrics"] == pytest.approx(summary["test"])
    assert dlcli("evaluate", "blobs", "--split", "val", "--data", "blobs.h5", "--json").json["rows"] == 30


def test_evaluate_an_unknown_run(dlcli, workplace):
    outcome = dlcli("evaluate", "blob")
    assert outcome.code == 2
    assert "there is no run 'blob'; there are blobs" in outcome.err


def test_runs(dlcli, workplace):
    outcome = dlcli("runs", "blobs", "--sort", "best")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split()[:3] == ["blobs/0001", "finished", "val_loss"]
    assert dlcli("runs", "blobs", "--json").json["runs"][0]["epochs"] == 3
    assert dlcli("runs", "none-such", "--json").json == {"runs": []}
    assert dlcli("runs", "--sort", "size").code == 2


def test_data_show(dlcli, workplace):
    outcome = dlcli("data", "show", "blobs.h5")
    assert outcome.code == 0
    assert "train 120, val 30, test 30" in outcome.out
    assert dlcli("data", "show", "blobs.h5", "--json").json["task"] == "multiclass"


def test_data_show_of_some_columns_and_as_a_page(dlcli, workplace, tmp_path):
    outcome = dlcli("data", "show", "blobs.h5", "--columns", "1", "--full", "--html", str(tmp_path / "page.html"))
    assert outcome.code == 0
    assert "x: 0 " in outcome.out
    assert "more column" in outcome.out
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_data_repack(dlcli, workplace, tmp_path):
    output = str(tmp_path / "out.h5")
    outcome = dlcli("data", "repack", "blobs.h5", "-o", output, "--codec", "gzip")
    assert outcome.code == 0
    assert f"written  {output}, every value checked\n" in outcome.out
    narrow = dlcli("data", "repack", "blobs.h5", "-o", str(tmp_path / "f.h5"), "--dtype", "train/x=float16")
    assert "f.h5, every value checked, but that floats were rounded: train/x to float16" in narrow.out
    assert "read shuffled" in outcome.out
    again = ("data", "repack", "blobs.h5", "-o", output)
    refused = dlcli(*again)
    assert (refused.code, "--overwrite to replace it" in refused.err) == (2, True)
    assert dlcli(*again, "--overwrite", "--json").json["output"] == output
    assert dlcli(*again, "--overwrite", "-q") == (0, "", "")
    assert dlcli("data", "repack", "blobs.h5", "-o", "blobs.h5").code == 2
    assert dlcli("data", "show", output).code == 0


def test_data_check_leaves_with_3_where_training_would_refuse(dlcli, workplace, tmp_path):
    assert dlcli("data", "check", "blobs.h5").code == 0
    broken = tmp_path / "broken.h5"
    broken.write_bytes(Path("blobs.h5").read_bytes())
    with h5py.File(broken, "a") as file:
        file["train/x"][3, 2] = np.inf
    outcome = dlcli("data", "check", str(broken))
    assert outcome.code == 3
    assert "train/x" in outcome.out
    assert dlcli("data", "check", str(broken), "--json").json["findings"][0]["level"] == "error"
    assert dlcli("data", "check", str(broken), "--quiet") == (3, "", "")


def test_a_missing_file_is_a_data_error(dlcli, workplace):
    assert dlcli("data", "show", "none.h5").code == 3
    assert dlcli("init", "none.h5", "-o", "other.toml").code == 3


def test_schema_is_json_and_knows_components(dlcli, workplace):
    outcome = dlcli("schema")
    assert outcome.code == 0
    assert outcome.json["$schema"]
    assert "early_stopping" in outcome.out


def test_plugins_list(dlcli):
    outcome = dlcli("plugins", "list")
    assert outcome.code == 0
    assert "mlp" in outcome.out
    assert "early_stopping" in outcome.out
    losses = dlcli("plugins", "list", "--kind", "loss", "--json").json["components"]
    assert {loss["kind"] for loss in losses} == {"loss"}
    assert dlcli("plugins", "list", "--kind", "los").code == 2


def test_plugins_show(dlcli):
    outcome = dlcli("plugins", "show", "early_stopping")
    assert outcome.code == 0
    assert "patience" in outcome.out
    assert "[[regularizers]]" in outcome.out
    assert dlcli("plugins", "show", "mlp", "--json").json["kind"] == "architecture"


def test_plugins_show_plots_an_activation(dlcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = dlcli("plugins", "show", "gelu")
    assert "formula       x * normal_cdf(x)" in page.out
    assert "zero-centred  no" in page.out
    plot = dlcli("plugins", "show", "leaky_relu", "--plot", "--set", "slope=0.2")
    assert plot.code == 0
    assert plot.out.startswith("leaky_relu, slope = 0.2\n")
    assert max(map(len, plot.out.splitlines())) <= 100
    drawn = dlcli("plugins", "show", "softmax", "--svg", "softmax.svg")
    assert drawn.out == "drawn    softmax.svg\n"
    assert (tmp_path / "softmax.svg").read_text().startswith("<svg ")
    points = dlcli("plugins", "show", "relu", "--plot", "--json").json
    assert (points["x"][0], points["function"][-1], points["derivative"][0]) == (-5, 5, 0)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("mlp", "--plot"), 2, "'mlp' is an architecture, and only activations can be plotted"),
        (("leaky_relu", "--plot", "--set", "slope=2"), 2, "--set slope: expected a number ≥ 0 and ≤ 1, got 2"),
        (("leaky_relu", "--set", "slope=0.2"), 2, "--set slope=0.2 changes what is drawn: add --plot or --svg FILE"),
        (("relu", "--svg", "absent/relu.svg"), 2, "--svg absent/relu.svg: there is no folder absent"),
        (("relu", "--svg", "relu.png"), 2, "their names end with .svg; got --svg relu.png"),
    ],
)
def test_plugins_show_tells_what_cannot_be_plotted(dlcli, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    outcome = dlcli("plugins", "show", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_plugins_show_of_an_unknown_component(dlcli):
    outcome = dlcli("plugins", "show", "mlpp")
    assert outcome.code == 4
    assert "unknown component 'mlpp'; did you mean 'mlp'?" in outcome.err


def test_plugins_doctor(dlcli, install):
    assert dlcli("plugins", "doctor").code == 0
    install("dlcli-broken", "import no_such_module")
    outcome = dlcli("plugins", "doctor")
    assert outcome.code == 4
    assert "broken  dlcli-broken 1.2 (dlcli_broken)" in outcome.out
    assert "no_such_module" in outcome.out
    assert dlcli("plugins", "doctor", "--json").json["plugins"][0]["healthy"] is False


def test_plugins_new(dlcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = dlcli("plugins", "new", "audio")
    assert outcome.code == 0
    assert "pip install -e 'dlcli-audio[dev]' && pytest dlcli-audio" in outcome.out
    assert (tmp_path / "dlcli-audio" / "pyproject.toml").exists()
    assert dlcli("plugins", "new", "audio", "-q").code == 2


def test_folds_from_the_command_line(dlcli, workplace):
    """`--kfold` takes the recipe of the folder, and needs no number."""
    done = dlcli("train", "--kfold", "--set", "train.epochs=2", "--name", "folds")
    assert done.code == 0
    assert "5 members, 2 epochs at most" in done.out
    assert "over 5 folds" in done.out
    listed = dlcli("runs", "folds", "--json").json["runs"]
    assert listed[0]["members"] == "5 folds"
    refused = dlcli("evaluate", "folds", "--split", "val")
    assert refused.code == 2
    assert "was trained on the validation rows too" in refused.err
    held_out = dlcli("evaluate", "folds@fold-1", "--split", "fold", "--json").json
    assert held_out["rows"] == 30


def test_saved_folds_are_replaced_only_when_told(dlcli, workplace, tmp_path):
    words = ("data", "folds", "blobs.h5", "-o", str(tmp_path / "folds.json"), "-q")
    assert dlcli(*words) == (0, "", "")
    refused = dlcli(*words, "--seed", "1")
    assert (refused.code, "folds.json is there already" in refused.err) == (2, True)
    assert dlcli(*words, "--seed", "1", "--overwrite") == (0, "", "")


def test_seeds_from_the_command_line(dlcli, workplace):
    done = dlcli("train", "--seeds", "3", "--engine", "loop", "--set", "train.epochs=2", "--name", "seeds", "--json")
    assert done.code == 0
    assert done.json["population"]["kind"] == "seeds"
    assert [member["identity"] for member in done.json["members"]] == ["seed-0", "seed-1", "seed-2"]
    labelled = dlcli("evaluate", "seeds@seed-2", "--split", "train")
    assert "note     the model was trained on these rows" in labelled.out
    refused = dlcli("train", "--kfold=x")
    assert (refused.code, "--kfold takes a whole number of folds" in refused.err) == (2, True)
    refused = dlcli("train", "--resume", "seeds", "--seeds", "4")
    assert (refused.code, "resuming goes on with the run's own recipe" in refused.err) == (2, True)


@pytest.mark.parametrize("stopped_after", [False, True])
def test_ctrl_c_tells_what_became_of_the_file(dlcli, tmp_path, monkeypatch, stopped_after):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,p\n2,q\n" * 10)
    out, write = tmp_path / "o.h5", atomic.write_file

    def stopping(path, fill):
        if stopped_after:
            write(path, fill)
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "write_file", stopping)
    outcome = dlcli("data", "import", str(tmp_path / "t.csv"), "-o", str(out), "--target", "b")
    assert outcome.code == 130
    left = f"{out} was written before that, whole" if stopped_after else "nothing was written"
    assert outcome.err == f"error: interrupted: {left}\n"


def test_ctrl_c_in_a_command_that_writes_nothing(dlcli, monkeypatch):
    def stopped(registry):
        raise KeyboardInterrupt

    monkeypatch.setattr("dlcli.experiment.components.list_components", stopped)
    assert dlcli("plugins", "list") == (130, "", "error: interrupted\n")


def test_find_lr_suggests_a_rate_and_leaves_nothing(dlcli, workplace, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    outcome = dlcli("train", "--find-lr", "--svg", str(tmp_path / "lr.svg"))
    assert outcome.code == 0
    assert "suggests" in outcome.out
    assert (tmp_path / "lr.svg").read_text().startswith("<svg")
    found = dlcli("train", "--find-lr", "--json").json
    assert found["points"][0].keys() == {"learning_rate", "loss", "smoothed_loss"}
    assert f"{found['minimum_tenth']:.2g}" in outcome.out
    assert dlcli("train", "--find-lr", "--quiet") == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--find-lr", "--seeds", "2"], "leave out --seeds, or train without --find-lr"),
        (["--find-lr", "--kfold", "--name", "x"], "leave out --kfold, --name, or"),
        (["--find-lr", "--resume", "x"], "leave out --resume, or"),
        (["--svg", "x.svg"], "--svg is the picture of --find-lr"),
    ],
)
def test_what_does_not_go_with_find_lr(dlcli, workplace, words, message):
    outcome = dlcli("train", *words)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert not Path("x.svg").exists()
