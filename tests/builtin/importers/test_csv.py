"""The importer of delimited text, against Python's own numbers, and on files that are wrong."""

import codecs
import csv
import gzip
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli import DataError, UsageError
from dlcli.builtin.importers.csv import CSV


def read(path, **parameters):
    importer = CSV(**parameters)
    fields = importer.fields(path)
    chunks = list(importer.chunks(path, fields, 3))
    return {f.name: f for f in fields}, {f.name: np.concatenate([c[f.name] for c in chunks]) for f in fields}


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


TABLE = "age;colour;km/h;when;who;label\n1;red;2.5;2024-01-02;b;7\n;;4e3;2024-01-01;a;8\n3; blue ;-1;2023-12-31;b;7\n"


def test_what_float32_rounds_and_what_is_not_there_is_told(tmp_path):
    rows = "".join(f"{2**24 + i},{i},{2**24 - i},{1e9 + i / 2},,{2**25 + i}\n" for i in range(30))
    fields, values = read(written(tmp_path / "t.csv", "id,age,near,broken,none,y\n" + rows), target="y")
    assert values["x"][0, 0] == values["x"][1, 0]
    assert fields["x"].note == (
        "id: whole numbers, 16777216 to 16777245, as float32, in which neighbours beyond 16777216 become equal; if "
        "they only name something, leave them out: --set drop='[\"id\"]'; none: no value in any row; leave out: --set "
        "drop='[\"none\"]'"
    )
    assert fields["y"].note.startswith("y: whole numbers, 33554432 to 33554461, as float32, in which neighbours")
    fields, _ = read(tmp_path / "t.csv", target="y", drop=["id", "none"])
    assert fields["x"].note == ""


def test_columns_are_told_apart(tmp_path):
    path = written(tmp_path / "t.csv", TABLE)
    fields, values = read(path, target="label", group="who", time="when")
    assert fields["x"].names == ("age", "km/h")
    np.testing.assert_array_equal(values["x"], np.float32([[1, 2.5], [np.nan, 4000], [3, -1]]))
    assert fields["x"].missing == (1, 0)
    assert fields["colour"].classes == ("blue", "red", "missing")
    assert values["colour"].tolist() == [1, 2, 0]
    assert values["group"].tolist() == [1, 0, 1]
    assert np.diff(values["time"]).tolist() == [-86400.0, -86400.0]
    assert values["y"].dtype == "float32"
    assert fields["y"].note.startswith("2 different whole numbers, 7 to 8, taken as numbers")
    assert CSV().notes(path) == (
        "a semicolon is between cells (else: --set delimiter=',')",
        "the first line names the columns, since none of its cells is a number (else: --set header=false)",
    )
    fields, values = read(path, target=-1, categorical=("label",), drop=("when", 5), missing_in={"age": ("3",)})
    assert fields["y"].classes == ("7", "8")
    assert values["y"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(values["x"][:, 0], np.float32([1, np.nan, np.nan]))
    assert [*fields] == ["x", "colour", "y"]


def test_packed_tabs_without_a_header_and_a_target_of_zero_and_one(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf0.5\t0\n1.5\t1\n\n2.5\t1.0\n"))
    fields, values = read(path, target=2)
    assert (fields["x"].names, fields["y"].classes) == (("column_1",), ("0", "1"))
    assert (values["x"].tolist(), values["y"].tolist()) == ([[0.5], [1.5], [2.5]], [0, 1, 1])
    assert read(path, target=2, numeric=(2,))[1]["y"].tolist() == [0.0, 1.0, 1.0]
    assert read(path, target=(1, 2))[1]["y"].shape == (3, 2)


CELLS = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.none())


def is_plain_text(text):
    """Whether nobody could take a text for a number, or for a missing value."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return text == text.strip() and not re.fullmatch(r"N/?A|null|none|\?", text, re.IGNORECASE)
    return False


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(is_plain_text)
ROWS = st.lists(st.tuples(CELLS, TEXTS, CELLS), min_size=1, max_size=12)


@given(rows=ROWS)
def test_what_is_written_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "word", "b"), *(["" if c is None else c for c in row] for row in rows)])
    fields, values = read(path, delimiter=",", header=True)
    expected = [[np.nan if cell is None else cell for cell in (a, b)] for a, _, b in rows]
    np.testing.assert_array_equal(values["x"], np.array(expected, "float32"))
    assert [fields["word"].classes[code] for code in values["word"]] == [text for _, text, _ in rows]


WRONG = {
    "ragged": ("a,b\n1,2\n\n1,2,3\n", {}, "line 4: it has 3 cells, but the first line has 2"),
    "text": ("a,b\n1,2\n3,4\nx,5\n", {}, "line 4, column 'a': 'x' is no number, but 2 values before it are"),
    "number": ("a,b\nx,2\n3,4\n", {}, "line 3, column 'a': '3' is a number, but the values before it are texts"),
    "forced": ("a,b\nx,2\n", {"numeric": ("a",)}, "line 2, column 'a': 'x' is no number; mend it"),
    "infinite": ("a,b\n1,2\ninf,2\n", {}, "line 3, column 'a': 'inf' is no finite number"),
    "endless": ("a,b\n1,1e400\n2,3\n", {}, "line 2, column 'b': '1e400' is no finite number"),
    "comma": (
        "a;b\n1,5;2\n2,5;3\n",
        {},
        "column 'a' holds numbers such as 1,5; say what is meant, that its decimals stand behind a comma: --set d",
    ),
    "thousands": (
        'a,b\n"1,234",2\n"2,500",3\n',
        {},
        "column 'a' holds .* that its thousands are set apart: --set thousands=\",\", or that its decimals stand",
    ),
    "millions": (
        "a,b\n1.234.567,2\n2.500.000,3\n",
        {},
        "column 'a' holds .* are set apart: --set thousands=\"\\.\", or",
    ),
    "point": (
        "a;b\n1.001;2,5\n",
        {"decimal": ","},
        "line 2, column 'a': '1.001' has a point, but decimals stand behind",
    ),
    "commas": (
        'a,b\n"1,5",2\n',
        {"decimal": ","},
        "not plain from the first lines, since a comma is a mark of numbers",
    ),
    "python": ("a,b\n1,2\n1_0,2\n", {}, "line 3, column 'a': '1_0' is no number"),
    "too large": ("a,b\n1,2\n1e300,2\n", {}, "line 3, column 'a': 1e\\+300 does not fit into float32"),
    "twice": ("a,b,a\n1,2,3\n", {}, "line 1: columns 1 and 3 are both called 'a'; names must differ"),
    "nameless": ("a,,c\n1,2,3\n", {}, "line 1: column 2 has no name"),
    "no target": ("a,b\n1,2\n1,\n", {"target": "b"}, "line 3, column 'b': the target is missing"),
    "no time": ("a,b\n1,x\n", {"time": "b"}, "line 2, column 'b': 'x' is no time"),
    "quotation": ('a,b\n1,"2\n3,4\n', {}, "unexpected end of data; mend the quotation marks"),
    "empty": ("\n\n", {}, "is empty"),
    "header alone": ("a,b\n", {}, "has no rows below its first line"),
    "semicolons": ('a;b\n"1"5;2\n', {}, "or say what is between cells with --set delimiter=','"),
    "delimiters": ("a b;c\nd,e\n", {}, "what is between cells is not plain"),
    "encoding": ("a,b\n1,2\n", {"encoding": "martian"}, "name an encoding such as utf-8"),
}


def test_numbers_with_a_comma_and_columns_of_texts_of_their_own(tmp_path):
    path = written(tmp_path / "c.csv", "1,5;-2,25e1;x\n3;4,0;y,z\n")
    fields, values = read(path, decimal=",")
    assert values["x"].tolist() == [[1.5, -22.5], [3.0, 4.0]]
    assert fields["column_3"].classes == ("x", "y,z")
    path = written(tmp_path / "t.csv", "a;b;c\n1.234.567,5;1.001;x\n-12;1.5;y.z\n".replace("1.5", "1,5"))
    assert read(path, decimal=",", thousands=".")[1]["x"].tolist() == [[1234567.5, 1001.0], [-12.0, 1.5]]
    path = written(tmp_path / "t.csv", 'a,b\n"1,234",x\n999,y\n')
    assert read(path, thousands=",", delimiter=",")[1]["x"].tolist() == [[1234.0], [999.0]]
    fields, _ = read(written(tmp_path / "m.csv", "a,b\n1,missing\n2,\n3,z\n"))
    assert fields["b"].classes == ("z", "missing")
    assert "the category 'missing' and empty cells become one class" in fields["b"].note
    fields, _ = read(written(tmp_path / "c.csv", "a;b\n1,5;2\n2,5;3\n"), categorical=("a",))
    assert fields["a"].classes == ("1,5", "2,5")
    days = "".join(f"2024-01-{day:02d},{day}\n" for day in range(1, 13))
    fields, _ = read(written(tmp_path / "d.csv", "when,y\n" + days))
    assert fields["when"].note.startswith("12 different texts in 12 rows, which tell a network little")


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_line_and_column(tmp_path, case):
    text, parameters, message = WRONG[case]
    path = written(tmp_path / "w.csv", text)
    with pytest.raises(DataError, match=rf"w\.csv.*{message}"):
        read(path, **parameters)


def test_a_bad_byte_a_cut_file_and_none(tmp_path):
    for text, place in (
        ("a,b\n1,2\n1,ÿ\n", "line 3, column 'b'"),
        ("a,bÿ\n1,2\n", "line 1, column 'b\N{REPLACEMENT CHARACTER}'"),
        ("1,2\n1,ÿ\n", "line 2, column 'column_2'"),
    ):
        with pytest.raises(DataError, match=rf"w\.csv, {place}: the byte 0xff is no utf-8 .* encoding=latin-1"):
            read(written(tmp_path / "w.csv", text, "latin-1"))
    cut = tmp_path / "w.csv.gz"
    cut.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 9999)[:-20])
    with pytest.raises(DataError, match=r"w\.csv\.gz cannot be read: .*cut or damaged"):
        read(cut)
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_another_format_that_is_called_csv(tmp_path):
    path = tmp_path / "w.csv"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read(path)[1]["x"].tolist() == [[1, 2]]
    for content, message in (
        (b"PK\3\4\x14", "a zip archive, as Excel's files are: unpack it"),
        (b"PAR1", "a Parquet file"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"w\.csv is no text, but is {message}"):
            read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding):
    marked = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    (tmp_path / "a.csv").write_bytes("a,y\n1,p\n2,é\n".encode(marked))
    assert CSV(target="y", encoding=encoding).fields(tmp_path / "a.csv")[1].classes == ("p", "é")
    found = marked.removesuffix("-sig")
    with pytest.raises(DataError, match=f"byte order mark of {found}, .* not latin-1; say --set encoding={found}"):
        CSV(target="y", encoding="latin-1").fields(tmp_path / "a.csv")


def test_a_column_that_is_not_there_or_asked_for_twice(tmp_path):
    path = written(tmp_path / "t.csv", TABLE)
    with pytest.raises(UsageError, match="target: .* has no column 'lable'; there are 6: age, colour"):
        read(path, target="lable")
    with pytest.raises(UsageError, match="column 'who' is asked for twice"):
        read(path, target="who", group="who")
    with pytest.raises(UsageError, match="several targets are numbers, but column 'colour'"):
        read(written(tmp_path / "u.csv", "a,colour\n1,red\n"), target=("a", "colour"))


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = written(tmp_path / "t.csv", "a,b,c\n" + "0.123,0.456,blue\n" * 200_000)  # 3.4 MB, 600,000 cells
    importer = CSV()
    tracemalloc.start()
    fields = importer.fields(path)
    assert sum(len(chunk["x"]) for chunk in importer.chunks(path, fields, 4096)) == 200_000
    assert tracemalloc.get_traced_memory()[1] < 12e6
    tracemalloc.stop()
