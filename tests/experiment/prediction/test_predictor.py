"""Predictions of artefacts, and of tasks and layouts that no architecture of ours has: hand-made answers."""

import csv
import io
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.errors import DataError, PluginError, UsageError
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.predict import predict
from dlcli.plugins import empty
from dlcli.registry import Entry

TOKENS = Field("x", "input", "tokens", (5,), "float32")
LENGTH = Field("n", "length", "categorical", (), "int64", of="x")
MASK = Field("m", "mask", "tokens", (5,), "uint8", of="x")


@pytest.fixture
def echo(folder):
    """Artefacts that answer with what they are given: a function that writes one."""
    ours = empty()
    ours.load("dlcli.builtin.importers", name="importers", distribution="dlcli", version="0")
    for name, cls in (("echo", "Echo"), ("echo_folder", "EchoFolder"), ("machine", "Machine")):
        ours.registry.extend([Entry("exporter", name, f"echo_exporter:{cls}", "test")])

    def make(path, task="multiclass", fields=None, per_position=False, names=(), classes=(), outputs=(), **metadata):
        fields = fields or (Field("x", "input", "features", (2,), "float32"),)
        target = Field("y", "target", "features", (2,), "float32", names=tuple(names))
        interface = Interface(tuple(fields), target, Task(task), per_position, tuple(classes), tuple(outputs))
        Path(path).write_text(json.dumps({"dlcli": interface.as_text(), **metadata}))
        return ours

    return make


TAGGER = {
    "fields": (Field("x", "input", "sequence", (5, 1), "float32"), LENGTH),
    "per_position": True,
    "classes": ("a,b", 'say "c"'),
    "outputs": ("logits", "probabilities"),
}


def read_csv(path):
    return list(csv.reader(io.StringIO(Path(path).read_text(), newline="")))


def sequences(path, steps=5, **arrays):
    x = np.random.default_rng(0).normal(size=(6, steps, 1)).astype("float32")
    np.savez(path, x=x, **(arrays or {"n": np.array([5, 1, 3, 2, 5, 4])}))
    return x[..., 0]


def test_each_position_is_a_line_and_padding_is_none(echo, monkeypatch):
    monkeypatch.setattr("echo_exporter.EchoArtefact.run", _tag)
    ours = echo("tagger.echo", **TAGGER)
    x = sequences("rows.npz")
    p = 1 / (1 + np.exp(-x))
    found = predict("tagger.echo", "rows.npz", output="out.csv", explain=1, show=3, plugins=ours)
    valid = np.arange(5) < np.array([5, 1, 3, 2, 5, 4])[:, None]
    lines = read_csv("out.csv")
    assert lines[0] == ["row", "position", "prediction", "probability_a,b", 'probability_say "c"']
    places = [(int(row), int(position)) for row, position, *_ in lines[1:]]
    assert places == list(map(tuple, np.argwhere(valid).tolist()))
    assert [line[2] for line in lines[1:]] == [("a,b" if x[place] > 0 else 'say "c"') for place in places]
    np.testing.assert_allclose([float(line[3]) for line in lines[1:]], p[valid], rtol=1e-5)
    assert (found.rows, found.answers) == (6, 20)
    sure = np.where(valid, np.maximum(p, 1 - p), np.nan)
    assert found.mean_confidence == pytest.approx(np.nanmean(sure), rel=1e-5)
    (best,), (worst,) = found.most_certain, found.least_certain
    assert (best["row"], best["position"]) == np.unravel_index(np.nanargmax(sure), sure.shape)
    assert (worst["row"], worst["position"]) == np.unravel_index(np.nanargmin(sure), sure.shape)
    predict("tagger.echo", "rows.npz", output="out.h5", batch_size=4, plugins=ours)
    with h5py.File("out.h5") as file:
        np.testing.assert_allclose(file["probabilities"][..., 0], p, rtol=1e-5)
        assert file["prediction"].shape == (6, 5)
        assert "row" not in file


def _tag(self, inputs):
    x = inputs["x"][..., 0]
    if x.shape[1] > 7:
        raise RuntimeError("too long for me")
    logits = torch.stack([x, torch.zeros_like(x)], dim=-1)
    return {"logits": logits, "probabilities": logits.softmax(dim=-1)}


def test_a_mask_says_what_is_padding(echo, monkeypatch):
    monkeypatch.setattr("echo_exporter.EchoArtefact.run", _tag)
    ours = echo("tagger.echo", **{**TAGGER, "fields": (TAGGER["fields"][0], MASK)})
    mask = np.array([[0, 1, 0, 1, 1]] * 6, dtype=bool)
    sequences("rows.npz", m=mask)
    found = predict("tagger.echo", "rows.npz", plugins=ours)
    assert [(record["row"], record["position"]) for record in found.shown[:4]] == [(0, 1), (0, 3), (0, 4), (1, 1)]


def test_shorter_and_longer_sequences_are_tried(echo, monkeypatch):
    monkeypatch.setattr("echo_exporter.EchoArtefact.run", _tag)
    ours = echo("tagger.echo", **TAGGER)
    for steps in (3, 7):
        sequences("rows.npz", steps, n=np.full(6, steps))
        assert predict("tagger.echo", "rows.npz", plugins=ours).answers == 6 * steps
    sequences("rows.npz", 8, n=np.full(6, 8))
    with pytest.raises(DataError, match=r"8 steps a row, and the model, trained on 5, cannot .*too long for me.*to 5"):
        predict("tagger.echo", "rows.npz", plugins=ours)
    sequences("rows.npz", 5, n=np.full(6, 6))
    with pytest.raises(DataError, match="row 0 is 6; a length is 1 to 5, the steps of x"):
        predict("tagger.echo", "rows.npz", plugins=ours)
    sequences("rows.npz", 5, other=np.zeros(6))
    with pytest.raises(DataError, match="there is no dataset n, the model's length"):
        predict("tagger.echo", "rows.npz", plugins=ours)
    with h5py.File("two.h5", "w") as file:
        for split, steps in (("train", 4), ("test", 3)):
            file[f"{split}/x"], file[f"{split}/n"] = np.ones((2, steps, 1), "float32"), [1, 2]
    assert predict("tagger.echo", "two.h5", output="out.jsonl", plugins=ours).answers == 6
    with pytest.raises(DataError, match="rows of one split have 3 steps, those before have 4"):
        predict("tagger.echo", "two.h5", output="out.h5", plugins=ours)


def test_labels_and_targets_of_artefacts(echo):
    ours = echo("labels.echo", "multilabel", classes=("wet", "old"), outputs=("logits", "probabilities"))
    x = np.array([[1, -2], [0.5, 3], [-1, -1]], "float32")
    np.savez("x.npz", x=x)
    predict("labels.echo", "x.npz", output="labels.csv", plugins=ours)
    lines = read_csv("labels.csv")
    assert lines[0] == ["row", "prediction", "probability_wet", "probability_old"]
    assert [line[1] for line in lines[1:]] == ["wet", "wet;old", ""]
    assert float(lines[1][2]) == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-6)
    ours = echo("targets.echo", "regression", names=("a", "a"), outputs=("prediction", "spread"))
    predict("targets.echo", "x.npz", output="targets.jsonl", plugins=ours)
    first = json.loads(Path("targets.jsonl").read_text().splitlines()[0])
    assert first == {"row": 0, "prediction": {"a_0": 1.0, "a_1": -2.0}, "spread": {"a_0": 1.0, "a_1": 2.0}}


def test_answers_that_are_no_numbers_are_refused(echo, monkeypatch):
    ours = echo("targets.echo", "regression", outputs=("prediction", "spread"))
    np.savez("x.npz", x=np.array([[1, 2], [3e38, 1]]))
    monkeypatch.setattr("echo_exporter.EchoArtefact.run", lambda self, i: {"prediction": i["x"] * 10, "spread": i["x"]})
    with pytest.raises(DataError, match="answer for row 1 is not a finite number"):
        predict("targets.echo", "x.npz", output="out.h5", plugins=ours)


def test_artefacts_are_opened_by_suffix_or_as_a_folder(echo):
    task = {"task": "regression", "outputs": ("prediction", "spread")}
    ours = echo("a.echo", **task)
    np.savez("x.npz", x=np.ones((3, 2)))
    Path("folder").mkdir()
    echo("folder/model.json", **task)
    for path in ("a.echo", "folder"):
        assert predict(path, "x.npz", plugins=ours).shown[2]["prediction"] == {"y_0": 1.0, "y_1": 1.0}
    with pytest.raises(UsageError, match="an artefact runs on the CPU; got --device cuda"):
        predict("a.echo", "x.npz", device="cuda", plugins=ours)
    with pytest.raises(UsageError, match="a.echo is what is read|cannot tell"):
        predict("a.echo", "x.npz", output="a.echo", plugins=ours)


def test_bad_artefacts_are_refused(echo):
    labels = {"task": "multilabel", "classes": ("wet", "old"), "outputs": ("logits", "probabilities")}
    ours = echo("narrow.echo", **labels, sin="narrow")
    np.savez("x.npz", x=np.ones((3, 2)))
    echo("odd.echo", **labels, fields=(Field("x", "input", "features", (2,), "save"),))
    echo("broken.echo", **labels, sin="broken")
    echo("nobody.echo", "multilabel")
    Path("junk.echo").write_text("junk")
    Path("empty.echo").write_text("{}")
    Path("code.machine").write_text("{}")
    Path("what.xyz").write_text("{}")
    for path, error, message in (
        ("narrow.echo", DataError, r"as probabilities of 3 rows it gives a tensor of shape \(3, 1\), expected 2"),
        ("odd.echo", DataError, "the field .x. is said to be .input., .features. of .save."),
        ("nobody.echo", DataError, "there are no classes"),
        ("junk.echo", DataError, "junk.echo is damaged"),
        ("broken.echo", DataError, "broken.echo cannot be run on these rows: KeyError: 'nothing'; look at them, or"),
        ("empty.echo", DataError, "was not written by dlcli export"),
        ("code.machine", UsageError, "its machine code would be run"),
        ("what.xyz", UsageError, r"neither a run nor an artefact that can be opened: .*\.echo"),
    ):
        with pytest.raises(error, match=message):
            predict(path, "x.npz", plugins=ours)


def test_what_an_artefact_says_of_the_import_is_taken_with_care(echo):
    task = {"task": "regression", "outputs": ("prediction", "spread")}
    Path("x.csv").write_text("1,0\n2,3\n")
    ours = echo("old.echo", **task)
    told = "old.echo does not say how the training data was imported, so x.csv is read by the importer's defaults"
    assert predict("old.echo", "x.csv", plugins=ours).notes[0].startswith(told)
    echo("no.echo", **task, imported="{}")
    assert predict("no.echo", "x.csv", plugins=ours).notes == ()

    def says(parameters):
        echo("says.echo", **task, imported=json.dumps({"importer": "csv", "parameters": parameters}))

    says({"header": True})
    assert predict("says.echo", "x.csv", plugins=ours).rows == 1
    assert predict("says.echo", "x.csv", settings={"header": False}, plugins=ours).rows == 2
    for parameters, message in (
        (
            {"spell": 1},
            "says that its data was imported by dlcli:csv with spell, which .* make a dataset of x.csv with",
        ),
        ({"decimal": {}}, "with decimal, which this version does not take"),
        ({"name": "npz"}, "are damaged: imported is .*, expected importer and parameters; export it again"),
        ([], "are damaged: imported is .*, expected importer and parameters"),
    ):
        says(parameters)
        with pytest.raises(DataError, match=message):
            predict("says.echo", "x.csv", plugins=ours)
    for text in ("junk", "[" * 10**5, "7", 7):
        echo("says.echo", **task, imported=text)
        with pytest.raises(DataError, match="metadata of says.echo are damaged: imported is"):
            predict("says.echo", "x.csv", plugins=ours)


def test_a_broken_plugin_keeps_no_other_from_its_work(echo):
    ours = echo("a.echo", "regression", outputs=("prediction", "spread"))
    ours.registry.extend([Entry(kind, "torn", "echo_exporter:Torn", "test") for kind in ("exporter", "importer")])
    np.savez("x.npz", x=np.ones((3, 2)))
    assert predict("a.echo", "x.npz", plugins=ours).rows == 3
    Path("a.torn").write_text("x")
    with pytest.raises(PluginError, match=r"exporter test:torn is broken: .*no attribute 'Torn'"):
        predict("a.torn", "x.npz", plugins=ours)
    with pytest.raises(PluginError, match=r"importer test:torn is broken"):
        predict("a.echo", "a.torn", plugins=ours)


def test_an_importer_that_breaks_its_word_and_two_of_one_suffix(echo):
    ours = echo("a.echo", "regression", outputs=("prediction", "spread"))
    ours.registry.extend([Entry("importer", "liar", "echo_exporter:Liar", "test")])
    Path("x.lie").write_text("2")
    predict("a.echo", "x.lie", output="out.h5", plugins=ours)  # how many rows there are nobody said before
    with h5py.File("out.h5") as file:
        assert file["prediction"].shape == (5, 2)
        assert file["prediction"][...].tolist() == [[2, 2]] * 5
    Path("x.lie").write_text("3")
    with pytest.raises(DataError, match=r"x\.lie: here: rows of shape \(3,\) were read, but \(2,\) was said; .*liar"):
        predict("a.echo", "x.lie", plugins=ours)
    ours.registry.extend([Entry("importer", "liar", "echo_exporter:OtherLiar", "other")])
    with pytest.raises(
        UsageError, match=r"several importers read a file like x\.lie: say which with --format, other:liar, test:liar"
    ):
        predict("a.echo", "x.lie", plugins=ours)
