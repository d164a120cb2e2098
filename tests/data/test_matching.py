"""What of a file feeds which field: the rules of shape, type and name."""

from dataclasses import replace

import pytest

from dlcli.contracts.field import Field
from dlcli.contracts.importer import SourceField
from dlcli.data.matching import match_field, match_part, notes_of
from dlcli.data.row_source import RowPart

FEATURES = Field("x", "input", "features", (3,), "float32", names=("age", "sex", "pay"))
IMAGE = Field("x", "input", "image", (3, 4, 5), "uint8")
GREY = Field("x", "input", "image", (1, 4, 5), "uint8")
SEQUENCE = Field("x", "input", "sequence", (7, 2), "float32")
TOKENS = Field("x", "input", "tokens", (7,), "int64")
CATEGORY = Field("x", "input", "categorical", (), "int64", classes=("a", "b"))


def source(shape, dtype="float32", **more):
    return SourceField("x", "test/x", shape, dtype, 9, **more)


@pytest.mark.parametrize(
    ("field", "found", "columns"),
    [
        (FEATURES, source((3,)), None),
        (FEATURES, source((3,), names=("age", "sex", "pay")), None),
        (FEATURES, source((4,), names=("pay", "id", "age", "sex")), (2, 3, 0)),
        (FEATURES, source((3,), "bool"), None),
        (replace(SEQUENCE, names=("u", "v")), source((9, 3), names=("v", "w", "u")), (2, 0)),
        (IMAGE, source((4, 5, 3), "uint8"), None),
        (GREY, source((4, 5), "uint8"), None),
        (GREY, source((4, 5, 1), "uint8"), None),
        (SEQUENCE, source((4, 2)), None),
        (TOKENS, source((70,), "int32"), None),
        (CATEGORY, source((), "str"), None),
    ],
)
def test_what_fits_is_matched(field, found, columns):
    findings = []
    match = match_field(field, found, findings)
    assert not findings
    assert match.columns == columns
    assert match.other_steps is (field in (SEQUENCE, TOKENS) or found.shape == (9, 3))


@pytest.mark.parametrize(
    ("field", "found", "message"),
    [
        (FEATURES, source((4,)), "its rows are 4, but the model takes 3: 'age', 'sex', 'pay'; give it the attribute"),
        (replace(FEATURES, names=()), source((4,), names=("a",) * 4), "its rows are 4, but the model takes 3$"),
        (FEATURES, source((3,), names=("ago", "sex", "id")), "lacks 2 columns .*'age', 'pay'; is 'ago' 'age'"),
        (FEATURES, source((3,), names=("age", "sex")), "it has 3 columns, but 2 names"),
        (FEATURES, source((4,), names=("age", "sex", "pay", "pay")), "two columns have the name 'pay'"),
        (FEATURES, source((), names=()), "its rows are single values, but"),
        (FEATURES, source((3,), "complex64"), "it holds complex64; allowed are integers, floats and"),
        (FEATURES, source((3,), "str"), "it holds texts, but the model was trained on float32"),
        (FEATURES, source((3,), kind="tokens"), "it is tokens, but the model takes features"),
        (IMAGE, source((3, 4, 5), "uint8"), r"3×4×5, but the model takes 4×5×3; .*numpy\.moveaxis\(x, 1, -1\)"),
        (IMAGE, source((4, 5), "uint8"), "its images are 4×5, but the model takes 4×5×3$"),
        (GREY, source((4, 5), "float32"), "trained on uint8 images: floats from 0 to 1 would be read as black"),
        (replace(GREY, dtype="float32"), source((4, 5), "uint8"), "trained on float32 images: the scale may be"),
        (SEQUENCE, source((7, 3)), "its rows are 7×3, but the model takes 7×2"),
        (SEQUENCE, source((0, 2)), "its rows are 0×2, with nothing in them"),
        (TOKENS, source((7,), "str"), "it holds texts"),
        (CATEGORY, source((1,), "int64"), "its rows are 1, but the model takes single values"),
    ],
)
def test_what_does_not_fit_is_refused(field, found, message):
    findings = []
    assert match_field(field, found, findings) is None
    assert [finding.where for finding in findings] == ["test/x"]
    pytest.raises(ValueError, _raise, findings[0].message).match(message)


def _raise(text):
    raise ValueError(text)


def test_columns_that_are_taken_by_name_are_said_once():
    part = RowPart("", {"x": source((5,), names=("pay", "id", "age", "sex", "day"))})
    found = match_part([FEATURES], part, [])
    assert notes_of(found) == ["test/x: columns are taken by name; the model does not take 'id', 'day'"]


def test_everything_that_is_missing_or_uneven_is_told_at_once():
    length = Field("n", "length", "categorical", (), "int64", of="x")
    mask = Field("m", "mask", "tokens", (7,), "uint8", of="x")
    other = Field("z", "input", "features", (1,), "float32")
    fields = {"x": source((7, 2)), "m": replace(source((8,), "uint8"), where="test/m", rows=8)}
    findings = []
    assert set(match_part([SEQUENCE, other, length, mask], RowPart("test", fields), findings)) == {"x", "m"}
    assert [str(finding) for finding in findings] == [
        "test: there is no dataset z, the model's input (features); there are: x, m; give it that name",
        "test: there is no dataset n, the model's length (categorical); there are: x, m; give it that name",
        "test/m: it has 8 rows, but test/x has 9; make them equal",
        "test/m: it has 8 steps, but test/x has 7; make them equal",
    ]


def test_a_table_is_told_of_by_its_columns():
    fields = [replace(FEATURES, names=("Age", "pay")), Field("colour", "input", "categorical", (), "int64")]
    number = SourceField("x", "x", (2,), "float32", kind="features", names=("age", "pay"))
    findings = []
    assert match_part(fields, RowPart("", {"x": number}, table=True), findings) == {}
    assert [str(finding) for finding in findings] == [
        "it lacks 2 columns that the model takes: 'Age', 'colour'; is 'age' 'Age'?; there are: 'age', 'pay'"
    ]
    text = SourceField("pay", "pay", (), "uint8", kind="categorical", classes=("a",), names=("pay",))
    number = replace(number, names=("Age", "colour"))
    findings = []
    match_part(fields, RowPart("", {"x": number, "pay": text}, table=True), findings)
    assert [finding.message.partition(";")[0] for finding in findings] == [
        "column 'pay' holds texts, but the model takes numbers",
        "column 'colour' holds numbers, but the model takes categories",
    ]
