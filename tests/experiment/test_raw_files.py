"""A raw file all the way: imported, a starter recipe, trained, and new raw rows predicted with the same meaning."""

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import dlcli
from dlcli.errors import DataError, UsageError
from dlcli.experiment.import_data import import_data
from dlcli.experiment.starter import starter_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
ROWS = 90


def trained(source, plugins, *, epochs=2, **parameters):
    """Import a file and train what `dlcli init` proposes; no row is moved, so that answers can be compared."""
    import_data(source, "data.h5", parameters=parameters, split="none", plugins=plugins)
    Path("starter.toml").write_text(starter_recipe(Path("data.h5"), plugins.registry))
    return dlcli.train("starter.toml", overrides=[f"train.epochs={epochs}"], plugins=plugins).run


def answers(run, data, plugins, **options):
    dlcli.predict(run, data, output="answers.h5", plugins=plugins, **options)
    with h5py.File("answers.h5") as file:
        return file["probabilities" if "probabilities" in file else "prediction"][...]


@pytest.fixture
def table(folder):
    """A CSV whose meaning its own text does not tell: 0 stands for missing, a code for a category."""
    generator = np.random.default_rng(0)
    age = np.where(generator.random(ROWS) < 0.2, 0, generator.integers(20, 70, ROWS))
    lines = [
        f"{a};{code};{color};{w:.3f};row {a};{'yes' if w > 0 else 'no'}"
        for a, code, color, w in zip(
            age,
            generator.integers(1, 4, ROWS),
            generator.choice(["red", "blue", ""], ROWS),
            generator.normal(size=ROWS),
            strict=True,
        )
    ]
    Path("table.csv").write_text("age;code;color;weight;note;bought\n" + "\n".join(lines) + "\n")
    return {"target": -1, "categorical": [2], "missing_in": {"age": ["0"]}, "drop": [5]}


def test_a_value_or_column_that_does_not_fit_is_told_by_line_and_name(table, plugins):
    run = trained("table.csv", plugins, **table)
    Path("new.csv").write_text("age;code;color;weight;note;bought\n\n30;1;red;1;;\n30;1;green;1;;\n")
    with pytest.raises(
        DataError, match=r"new\.csv, line 4, column 'color': the model does not know the category 'green'"
    ):
        dlcli.predict(run, "new.csv", plugins=plugins)
    Path("new.csv").write_text("age;code;Color;weight\n30;1;red;1\n")
    with pytest.raises(
        DataError, match=r"new\.csv: it lacks a column that the model takes: 'color'; is 'Color' 'color'\?"
    ):
        dlcli.predict(run, "new.csv", plugins=plugins)


def test_new_rows_mean_what_those_of_training_meant(table, plugins):
    run = trained("table.csv", plugins, **table)
    facts = json.loads((run / "run.json").read_text())["data"]["imported"]
    assert (facts["importer"], facts["parameters"]["categorical"]) == ("csv", ["code"])
    expected = answers(run, "data.h5", plugins)
    assert np.array_equal(answers(run, "table.csv", plugins), expected)
    lines = [line.split(";") for line in Path("table.csv").read_text().splitlines()]
    turned = [",".join([line[3], line[2], line[0], line[1]]) for line in lines]
    Path("new.csv").write_text("\n".join(turned[:8]) + "\n")
    np.testing.assert_array_equal(answers(run, "new.csv", plugins), expected[:7])
    Path("new.csv").write_text("\n".join([*turned[:2], "1.0,red,30,9"]) + "\n")
    with pytest.raises(DataError, match="line 3, column 'code': the model does not know the category '9'"):
        answers(run, "new.csv", plugins)
    Path("new.csv").write_text("code;color;weight\n1;red;0.3\n2;blue;0.1\n")
    with pytest.raises(DataError, match="it lacks a column that the model takes: 'age'"):
        answers(run, "new.csv", plugins)
    with pytest.raises(UsageError, match="--format csv has no parameter 'delimeter'"):
        answers(run, "new.csv", plugins, settings={"delimeter": ","})


def test_artefacts_read_new_rows_as_their_run_does(table, plugins):
    run = trained("table.csv", plugins, **table)
    expected = answers(run, "table.csv", plugins)
    for format in ("pt2", "onnx", "safetensors"):
        artefact = dlcli.export(run, format=format, plugins=plugins).path
        np.testing.assert_allclose(answers(artefact, "table.csv", plugins), expected, rtol=1e-4, atol=1e-6)
        assert "does not say how" not in str(dlcli.predict(artefact, "table.csv", plugins=plugins).notes)


def test_what_the_model_takes_decides_how_columns_are_read(table, plugins):
    run = trained("table.csv", plugins, **table)
    header = "age;code;color;weight\n"
    Path("new.csv").write_text(header + "30;1;red;NA\n30;1;red;-\n")
    with pytest.raises(DataError, match=r"new\.csv, line 3, column 'weight': '-' is no number; mend it, or say .*g\)$"):
        answers(run, "new.csv", plugins)
    Path("new.csv").write_text(header + "30;1;7;1\n")
    with pytest.raises(DataError, match=r"new\.csv, line 2, column 'color': the model does not know the category '7'"):
        answers(run, "new.csv", plugins)
    Path("both.csv").write_text(header + "0;1;;1\n30;2;red;1\n")
    Path("new.csv").write_text(header + "0;1;;1\n")  # neither number nor text in two columns
    np.testing.assert_allclose(answers(run, "new.csv", plugins), answers(run, "both.csv", plugins)[:1], rtol=1e-6)
    # A dataset of another program, or of an earlier version, remembers no import.
    with h5py.File("data.h5", "a") as file:
        del file.attrs["importer"]
    run = dlcli.train("starter.toml", plugins=plugins).run
    Path("new.csv").write_text("age,code,color,weight\n30,1,,1\n")
    assert len(answers(run, "new.csv", plugins)) == 1


@pytest.mark.parametrize(
    ("target", "left_out", "taken", "refused"),
    [(-1, [], (4, 3), (2, 5)), (1, [], (4,), (2, 3, 5)), (1, [4], (4,), (3,)), (4, [3], (4, 3, 2), (1, 5))],
)
def test_columns_without_names_are_known_by_their_places(folder, plugins, target, left_out, taken, refused):
    values = np.random.default_rng(0).normal(size=(30, 5)).round(3)
    for width in range(1, 6):
        np.savetxt(f"{width}.csv", values[:, :width], delimiter=",")
    run = trained(Path("4.csv"), plugins, target=target, drop=left_out)
    wanted = answers(run, "4.csv", plugins)
    for width in taken:
        np.testing.assert_array_equal(answers(run, f"{width}.csv", plugins), wanted)
    for width in refused:
        spare = len(taken) - 1
        last = {0: "and none may", 1: "the last may", 2: "the last 2 may"}[spare]
        told = f"{width}.csv has {width} columns without names, but .*4 are expected .*{last} be left out$"
        with pytest.raises(DataError, match=told):
            dlcli.predict(run, f"{width}.csv", output="other.h5", plugins=plugins)


def test_what_is_given_wins_over_how_the_training_data_was_read(table, plugins):
    run = trained("table.csv", plugins, **table)
    text = Path("table.csv").read_text().replace(";", "|")
    Path("bars.csv").write_text(text)
    expected = answers(run, "data.h5", plugins)
    assert np.array_equal(answers(run, "bars.csv", plugins, settings={"delimiter": "|"}), expected)
    Path("bars.data").write_text(text)
    with pytest.raises(UsageError, match=r"no importer reads a file like bars\.data .* say which with --format"):
        answers(run, "bars.data", plugins)
    options = {"format": "csv", "settings": {"delimiter": "|"}}
    assert np.array_equal(answers(run, "bars.data", plugins, **options), expected)


@pytest.mark.parametrize(
    ("source", "parameters"),
    [
        ("housing/housing.csv", {"target": "-1"}),
        ("sonar/sonar.csv", {"target": "-1"}),
        (
            "indoor/IndoorMovement.zip",
            {
                "target": "dataset/MovementAAL_target.csv",
                "group": "groups/MovementAAL_DatasetGroup.csv",
                "pattern": "dataset/*RSS*.csv",
            },
        ),
    ],
    ids=["numbers", "classes", "sequences"],
)
def test_files_that_people_have(folder, plugins, source, parameters):
    run = trained(RECIPES / source, plugins, **parameters)
    expected = answers(run, "data.h5", plugins)
    np.testing.assert_allclose(answers(run, RECIPES / source, plugins), expected, rtol=1e-5, atol=1e-6)


def test_images_in_the_format_of_mnist(folder, plugins):
    for name in ("images-idx3", "labels-idx1"):
        values = gzip.decompress((RECIPES / f"mnist10k/mnist-t10k-{name}-ubyte.gz").read_bytes())
        header = 16 if name == "images-idx3" else 8
        size = 784 if name == "images-idx3" else 1
        part = values[:4] + (300).to_bytes(4, "big") + values[8:header] + values[header : header + 300 * size]
        Path(f"t10k-{name}-ubyte").write_bytes(part)
    run = trained(Path("t10k-images-idx3-ubyte"), plugins)
    expected = answers(run, "data.h5", plugins)
    Path("t10k-labels-idx1-ubyte").unlink()  # nobody has labels of new images
    np.testing.assert_allclose(answers(run, Path("t10k-images-idx3-ubyte"), plugins), expected, rtol=1e-5, atol=1e-6)


def test_sequences_without_targets(folder, plugins):
    with zipfile.ZipFile(RECIPES / "indoor/IndoorMovement.zip") as archive:
        names = [name for name in archive.namelist() if "RSS" in name][:5]
        archive.extractall("new", names)
    parameters = {"target": "dataset/MovementAAL_target.csv", "pattern": "dataset/*RSS*.csv"}
    run = trained(RECIPES / "indoor/IndoorMovement.zip", plugins, **parameters)
    assert answers(run, Path("new"), plugins).shape == (5, 1)


def test_new_images_are_in_no_folder_of_a_class(folder, plugins):
    generator = np.random.default_rng(0)
    for number, kind in enumerate(["cat", "dog"] * 8):
        Path("seen", kind).mkdir(parents=True, exist_ok=True)
        values = generator.integers(0, 255, (10, 12, 3)).astype("uint8")
        Image.fromarray(values).save(f"seen/{kind}/{number}.png")
    run = trained(Path("seen"), plugins)
    expected = answers(run, "data.h5", plugins)
    Path("new").mkdir()
    for place, number in enumerate(range(0, 16, 2)):
        shutil.copy(f"seen/cat/{number}.png", f"new/{place}.png")
    np.testing.assert_allclose(answers(run, Path("new"), plugins), expected[:8], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers(run, Path("new/3.png"), plugins), expected[3:4], rtol=1e-5, atol=1e-6)
    Image.new("L", (12, 10)).save("new/0.png")  # grey, as the first of them: colours are those of training
    assert answers(run, Path("new"), plugins).shape == expected[:8].shape
    Image.new("RGB", (9, 9)).save("new/3.png")
    with pytest.raises(DataError, match="3.png is 9×9, but the first is 10×12"):
        answers(run, Path("new"), plugins)


def test_text_gets_an_embedding(folder, plugins):
    Path("text.txt").write_text("the cat sat on the mat; " * 40)
    run = trained("text.txt", plugins, window=6, predict="next")
    assert 'inputs = ["embed"]' in Path("starter.toml").read_text()
    assert np.array_equal(answers(run, "text.txt", plugins), answers(run, "data.h5", plugins))
