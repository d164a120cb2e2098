import json

from dlcli.cli.app import run


def test_json_is_one_object_and_the_view_names_what_was_found(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("a;b;label\n" + "1;;u\n2;red;v\n" * 10)
    words = ["data", "import", str(path), "-o", str(tmp_path / "o.h5"), "--target", "3"]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["splits"] == {"train": 16, "val": 4}
    assert [(field["name"], field["role"]) for field in found["fields"]] == [
        ("x", "input"),
        ("b", "input"),
        ("y", "target"),
    ]
    assert run([*words, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "train 16, val 4, at random, stratified by class",
        "2 classes: red, missing",
        "b 10",
        "a semicolon is",
    ):
        assert text in shown
    assert run([*words, "-q"]) == 2
    assert "o.h5 is there already: give another file with -o, or --overwrite to replace it" in capsys.readouterr().err
    assert run([*words, "-q", "--overwrite"]) == 0
    assert run([*words, "-q", "--overwrite", "--set", "delimiter=,"]) == 2
    assert "has no column 3; there are 1: a;b;label" in capsys.readouterr().err
