"""The error boundary: what each kind of error prints, where, and with which exit code."""

import subprocess
import sys

import pytest

from dlcli import errors
from dlcli.errors import Problem, RecipeError

PROBLEMS = [Problem("mlp.toml:3", "train.epochs", "expected a whole number ≥ 1, got 0"), Problem("", "", "no [data]")]


def fail_with(monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("dlcli.experiment.runs.list_runs", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("wrong [call]"), 2),
        (RecipeError(PROBLEMS), 2),
        (errors.DataError("no file"), 3),
        (errors.PluginError("unknown loss"), 4),
        (errors.TrainingError("diverged"), 5),
        (errors.StorageError("disk full"), 5),
        (errors.Interrupted("saved"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("bug"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_no_traceback(dlcli, monkeypatch, error, code):
    fail_with(monkeypatch, error)
    outcome = dlcli("runs")
    assert outcome.code == code
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


def test_an_error_is_printed_as_it_is(dlcli, monkeypatch):
    fail_with(monkeypatch, errors.UsageError("wrong [call] of " + "x" * 200))
    assert dlcli("runs").err == "error: wrong [call] of " + "x" * 200 + "\n"


def test_all_problems_of_a_recipe_are_printed(dlcli, monkeypatch):
    fail_with(monkeypatch, RecipeError(PROBLEMS))
    err = dlcli("runs").err
    assert "2 problems in the recipe" in err
    assert "mlp.toml:3: train.epochs: expected a whole number ≥ 1, got 0" in err
    assert "no [data]" in err


def test_under_json_stdout_is_one_object_that_tells_the_error(dlcli, monkeypatch):
    fail_with(monkeypatch, RecipeError(PROBLEMS))
    outcome = dlcli("runs", "--json")
    assert outcome.code == 2
    assert outcome.json["error"]["type"] == "RecipeError"
    assert outcome.json["error"]["message"].startswith("2 problems")
    assert outcome.json["error"]["problems"][0] == {
        "where": "mlp.toml:3",
        "key": "train.epochs",
        "message": "expected a whole number ≥ 1, got 0",
    }
    assert "2 problems in the recipe" in outcome.err


def test_a_bug_is_told_as_a_fault_of_dlcli(dlcli, monkeypatch):
    fail_with(monkeypatch, ZeroDivisionError("division by zero"))
    outcome = dlcli("runs", "--json")
    assert outcome.code == 1
    assert "fault of dlcli, not of your recipe or data: ZeroDivisionError: division by zero" in outcome.err
    assert "--debug" in outcome.err
    assert outcome.json == {
        "error": {"type": "Fault", "message": "ZeroDivisionError: division by zero", "problems": []}
    }


@pytest.mark.parametrize("words", [("--debug", "runs"), ("runs", "--debug"), ("runs", "digits", "--debug")])
@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), errors.DataError("no file")])
def test_debug_shows_the_traceback_wherever_it_stands(dlcli, monkeypatch, words, error):
    fail_with(monkeypatch, error)
    err = dlcli(*words).err
    assert "Traceback (most recent call last)" in err
    assert "error: " in err


@pytest.mark.parametrize("words", [("frobnicate",), ("runs", "--frobnicate"), ("evaluate",), ("data", "show")])
def test_a_wrong_command_line_is_told_on_stderr_with_exit_code_2(dlcli, words):
    outcome = dlcli(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Usage" in outcome.err


def test_no_command_shows_help(dlcli):
    assert "Usage: dlcli" in "".join(dlcli()[1:])


def test_version(dlcli):
    from importlib.metadata import version

    assert dlcli("--version") == (0, f"dlcli {version('dlcli')}\n", "")


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    program = "from dlcli.cli.app import main; import sys; sys.argv[1:] = ['--help']; main()"
    dlcli = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    dlcli.stdout.close()
    assert dlcli.stderr.read() == b""
    dlcli.stderr.close()
    assert dlcli.wait() == 1
