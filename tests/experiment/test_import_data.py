"""`dlcli data import` from end to end: what is in the file, which rows are where, and what a failure leaves."""

import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli import DataError, DlcliError, UsageError
from dlcli.builtin.importers.csv import CSV
from dlcli.data.check import check
from dlcli.experiment.import_data import import_data


@pytest.fixture
def table(tmp_path):
    """40 rows: their number, a colour, a label that 10 rows have, and groups of four rows."""
    path = tmp_path / "t.csv"
    rows = [f"{i},{'red' if i % 3 else ''},{'no' if i % 4 else 'yes'},{i // 4}\n" for i in range(40)]
    path.write_text("number,colour,label,who\n" + "".join(rows))
    return path


def numbers(path, split):
    with h5py.File(path) as file:
        return file[split]["x"][:, 0].astype(int).tolist()


def test_the_file_is_as_datasets_are(table, tmp_path):
    out = tmp_path / "out.h5"
    found = import_data(table, out, parameters={"target": "label", "drop": ["who"]}, test=0.1, licence="CC0")
    assert found.splits == {"train": 28, "val": 8, "test": 4}
    with h5py.File(out) as file:
        assert [*file["train"]] == ["x", "colour", "y"]
        assert dict(file["val/colour"].attrs)["classes"].tolist() == ["red", "missing"]
        assert file["val/colour"].attrs["role"] == "input"
        assert file["test/y"].attrs["classes"].tolist() == ["no", "yes"]
        assert file["train/y"].compression == "gzip"
        assert (file.attrs["origin"], file.attrs["importer"], file.attrs["licence"]) == ("t.csv", "csv", "CC0")
        for split in ("train", "val", "test"):
            part = file[split]
            assert (part["y"][:] == (part["x"][:, 0] % 4 == 0)).all()
            assert (part["colour"][:] == (part["x"][:, 0] % 3 == 0)).all()
            assert part["y"][:].mean() == 0.25  # stratified
    assert sorted(n for split in found.splits for n in numbers(out, split)) == [*range(40)]
    assert not [finding for finding in check(out) if finding.level == "error"]


def test_whole_numbers_that_float32_rounds_are_told(tmp_path):
    numbers, path = 2**24 + np.arange(40), tmp_path / "t.npz"
    np.savez(path, x=np.stack([numbers, -numbers], axis=1), y=numbers)
    of_x, of_y = import_data(path, dry_run=True).notes
    assert of_x.startswith("x: whole numbers up to 16777255; as float32, which a network is given, neighbours beyond")
    assert of_y.startswith("y: whole numbers, 16777216 to 16777255, taken as numbers, as float32, in which neighbours")


def test_groups_stay_whole_time_goes_last_and_none_stays_together(table, tmp_path):
    out = tmp_path / "out.h5"
    import_data(table, out, parameters={"target": "label", "group": "who"}, test=0.2)
    places = {n // 4: split for split in ("train", "val", "test") for n in numbers(out, split)}
    assert all(places[n // 4] == split for split in ("train", "val", "test") for n in numbers(out, split))
    made = import_data(table, out, parameters={"target": "label", "time": "who"}, split="0.25", overwrite=True)
    assert made.how == "the last rows in time"
    lines = table.read_text().splitlines()
    turned = table.with_name("turned.csv")
    turned.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    mixed = import_data(turned, parameters={"target": "label", "time": "who"}, dry_run=True)
    assert "within a split not in the order of time" in mixed.how
    assert numbers(out, "val") == [*range(28, 40)]  # rows of one time are not parted
    import_data(table, out, parameters={"target": "label"}, split="none", overwrite=True)
    with h5py.File(out) as file:
        assert [*file] == ["x", "colour", "y"]
        assert file["x"][:, 0].tolist() == [*range(40)]
    assert import_data(table, parameters={"target": "label"}, dry_run=True).output is None


@given(
    rows=st.integers(12, 60), seed=st.integers(0, 9), val=st.sampled_from([0.1, 0.3]), test=st.sampled_from([None, 0.2])
)
def test_splits_partition_the_rows_and_depend_on_the_seed_alone(tmp_path_factory, rows, seed, val, test):
    folder = tmp_path_factory.mktemp("rows")
    np.savez(folder / "a.npz", x=np.arange(rows)[:, None], y=np.arange(rows) % 2)
    for name in ("a.h5", "b.h5"):
        found = import_data(folder / "a.npz", folder / name, split=str(val), test=test, seed=seed)
    assert sorted(n for split in found.splits for n in numbers(folder / "a.h5", split)) == [*range(rows)]
    assert all(numbers(folder / "a.h5", split) == numbers(folder / "b.h5", split) for split in found.splits)
    assert abs(found.splits["val"] - val * rows) <= 1


def test_what_contradicts_itself_is_refused(table, tmp_path):
    out, target = tmp_path / "out.h5", {"target": "label"}
    for options, message in (
        ({}, "which field of .* is to be predicted"),
        ({"parameters": target, "split": "1.5"}, "--split is a share of the rows between 0 and 1, or none; got 1.5"),
        ({"parameters": target, "split": "0.6", "test": 0.5}, "leave nothing to train on: 1.1 of 1"),
        (
            {"parameters": {"target": "number"}, "stratify": True},
            "--stratify divides by class, but the target 'y' has no",
        ),
        ({"parameters": {"targte": 1}}, "--format csv has no parameter 'targte'; it has target, group"),
        (
            {"parameters": {"max_classes": 0}},
            "--format csv: max_classes: expected a whole number ≥ 1 and ≤ 100",
        ),
        ({"parameters": {"missing": 3}}, "--format csv: missing: expected a list, each text in quotes, got 3"),
        ({"parameters": {"delimiter": "ab"}}, 'delimiter: expected text in quotes of one character, got "ab"'),
        ({"parameters": {"missing_in": {"a": 3}}}, "missing_in: expected a table, each value a list, .* got { a = 3 }"),
        (
            {"format": "text", "parameters": {"window": 2, "stride": 3}},
            "--format text: stride is 3, but a window has 2",
        ),
        ({"parameters": target, "seed": -1}, "--seed is 0 or more; got -1"),
        ({"format": "cvs"}, "unknown importer 'cvs'; did you mean 'csv'"),
    ):
        with pytest.raises(DlcliError, match=message):
            import_data(table, out, **options)
    with pytest.raises(UsageError, match=r"a dataset ends with \.h5 or \.hdf5"):
        import_data(table, tmp_path / "out.csv", parameters=target)
    with pytest.raises(UsageError, match="no importer reads a file like t.xyz"):
        import_data(table.rename(tmp_path / "t.xyz"), out)
    with pytest.raises(DataError, match="there is no file"):
        import_data(table, out)
    assert [path.name for path in tmp_path.iterdir()] == ["t.xyz"]


def test_a_source_without_anything_to_read(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "empty.csv").touch()
    zipfile.ZipFile(tmp_path / "hollow.zip", "w").close()
    for name, message in (
        ("folder", "the folder .* holds no files, so there is nothing to read"),
        ("empty.csv", "the file .* is empty, so there is nothing to read"),
        ("hollow.zip", "the archive .* holds no files"),
    ):
        with pytest.raises(DataError, match=message):
            import_data(tmp_path / name, dry_run=True)
    (tmp_path / "folder" / "a.foo").write_text("1")
    with pytest.raises(UsageError, match=r"no importer reads files of .*, such as a\.foo; by themselves .*\.png, "):
        import_data(tmp_path / "folder", dry_run=True)


def test_sequences_without_a_target_are_told_where_it_may_be(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as made:
        made.writestr("walk_1.csv", "1,2,3\n")
    with pytest.raises(UsageError, match=r"--target \(importer sequences: file of targets, by its path inside"):
        import_data(tmp_path / "w.zip", dry_run=True)


def test_a_class_of_one_row_and_too_many_texts(tmp_path):
    path, out = tmp_path / "t.csv", tmp_path / "out.h5"
    path.write_text("a,b\n" + "1,x\n" * 9 + "2,y\n")
    with pytest.raises(DataError, match="class 'y' has one row, which cannot be in two splits"):
        import_data(path, out, parameters={"target": "b"})
    assert import_data(path, out, parameters={"target": "b"}, stratify=False).splits == {"train": 8, "val": 2}
    path.write_text("a,b\n" + "".join(f"t{i},{i % 2}\n" for i in range(1001)))
    with pytest.raises(DataError, match="'a' has more than 1,000 different texts, too many for categories"):
        import_data(path, tmp_path / "other.h5", parameters={"target": "b"})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"when": np.arange(20).astype("M8[D]")}, r"when: it holds dates \(datetime64\[D\]\); allowed are integers"),
        ({"x": np.zeros(20, [("a", "f4"), ("b", "i4")])}, "x: it holds compound records; allowed are integers"),
        ({"x": np.ones((20, 2)) + 1j}, "x: it holds complex numbers"),
        ({"x": np.ones((20, 2), "longdouble")}, "x: it holds numbers of a type that networks do not know"),
        ({"x": np.ones((20, 0))}, r"x: a row of it holds no values, its shape is \(0,\)"),
        ({"x": np.ones((20, *[2] * 6))}, "x: a row of it has 6 dimensions, .*; an input has at most 3"),
        ({"x": np.where(np.arange(40) == 33, np.inf, 1).reshape(20, 2)}, "x, row 16, column 1 is infinite"),
        ({"y": np.where(np.arange(20) == 7, np.nan, 0.5)}, r"y, row 7 is missing \(NaN\)"),
        ({"x": np.full((20, 2), 1e300)}, "x, row 0, column 0 is 1e\\+300, too large for float32; scale it"),
        ({"x": np.ones((20, 3, 8, 8))}, "x: its rows, .*, look like channels × height × width, .*channels_first=true"),
        ({"y": np.zeros(19)}, "fields differ in their number of rows .*; a row needs a value in each$"),
        ({"edges": np.zeros((2, 9), int)}, r"\(x 20, y 20, edges 2\); .*; a graph is read with --format graph"),
        ({"x": np.array([[1, None]] * 20), "y": np.arange(20)}, "x: it holds Python objects, which cannot be read"),
    ],
    ids=lambda value: "",
)
def test_what_no_network_takes_is_refused_before_it_is_a_dataset(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **{"x": np.ones((20, 2)), "y": np.linspace(0, 1, 20)} | arrays)
    with pytest.raises(DataError, match=message):
        import_data(tmp_path / "a.npz", tmp_path / "a.h5", dry_run=True)
    with pytest.raises(DataError, match=message):
        import_data(tmp_path / "a.npz", tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_missing_values_and_columns_of_classes_are_told(tmp_path, dry_run):
    x = np.ones((20, 2))
    x[3, 1] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.eye(3)[np.arange(20) % 3])
    found = import_data(tmp_path / "a.npz", tmp_path / "a.h5", dry_run=dry_run)
    assert found.fields[0].missing == (1,)
    assert "each row has one 1 and else 0, as classes in a column each, but is taken as 3 numbers" in found.notes[0]


@pytest.mark.parametrize(
    ("val", "message"),
    [
        ([3, 4, -1], "the split val names row -1, but rows are 0 to 5"),
        ([3, 3], "the split val names row 3 twice"),
        ([3, 2, 1], r"row 2 is in train and in val \(2 such rows\)"),
    ],
)
def test_splits_of_a_source_that_are_wrong(tmp_path, val, message):
    arrays = {"x": np.eye(6, dtype="f4"), "y": np.arange(6) % 2, "edges": np.array([[0, 1]])}
    np.savez(tmp_path / "g.npz", **arrays, train=np.array([0, 1, 2]), val=np.array(val))
    with pytest.raises(DataError, match=message):
        import_data(tmp_path / "g.npz", tmp_path / "g.h5", format="graph")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, DataError("torn")])
def test_what_stops_it_leaves_nothing_new_and_the_old_file(table, tmp_path, monkeypatch, failure):
    out = tmp_path / "out.h5"
    out.write_bytes(b"old")
    before, sound = table.read_bytes(), CSV.chunks

    def stopping(self, source, fields, rows):
        yield from sound(self, source, fields, 16) if len(fields) == 1 else ()
        raise failure

    monkeypatch.setattr(CSV, "chunks", stopping)
    with pytest.raises(type(failure) if isinstance(failure, Exception) else failure):
        import_data(table, out, parameters={"target": "label"}, split="none", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "t.csv"]
    assert (out.read_bytes(), table.read_bytes()) == (b"old", before)
