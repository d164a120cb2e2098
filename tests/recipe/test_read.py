import re
from pathlib import Path

import pytest

from dlcli.errors import RecipeError
from dlcli.recipe.load import load_recipe
from dlcli.recipe.read import read_toml


def test_a_missing_default_recipe_says_how_to_get_one(tmp_path, monkeypatch, registry):
    monkeypatch.chdir(tmp_path)
    message = f"recipe.toml: there is no recipe.toml in {tmp_path}; `dlcli init DATA.h5` writes one for a dataset"
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(Path("recipe.toml"), registry)


def test_a_missing_recipe_names_one_that_may_have_been_meant(tmp_path, registry):
    (tmp_path / "mlp_large.toml").touch()
    message = f"{tmp_path / 'mlp-large.toml'}: there is no such recipe; did you mean 'mlp_large.toml'?; `dlcli init"
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(tmp_path / "mlp-large.toml", registry)


def test_a_folder_is_no_recipe_but_may_hold_one(tmp_path):
    with pytest.raises(RecipeError, match=r": this is a folder; a recipe is a TOML file$"):
        read_toml(tmp_path)
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(RecipeError, match=re.escape(f"a TOML file; did you mean {tmp_path / 'recipe.toml'}?")):
        read_toml(tmp_path)


def test_a_path_through_a_file_cannot_be_read(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="the recipe cannot be read: Not a directory"):
        read_toml(tmp_path / "file" / "r.toml")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = \nc = 2\n", 2, "the recipe is not valid TOML: Invalid value (at line 2, column 5): b ="),
        ("[train]\nepochs = 1\nepochs = 2\n", 3, "Cannot overwrite a value (at line 3, column 11): epochs = 2"),
        ("[train\n", 1, "(at line 1, column 7): [train"),
        ("a = [1, 2", 1, "the recipe is not valid TOML: "),
        ("name = mlp\n", 1, "Invalid value (at line 1, column 8): name = mlp"),
    ],
)
def test_a_syntax_error_has_its_line_its_column_and_its_text(text, line, message, write):
    path = write(text)
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        read_toml(path)
    assert caught.value.problems[0].where == f"{path}:{line}"


def test_what_is_not_utf8_has_the_line_and_the_byte(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes('seed = 1\nname = "größe"\n'.encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin\.toml:2: the recipe is not UTF-8 text: byte 0xf6; save it as UTF-8"):
        read_toml(path)


def test_a_dataset_in_the_place_of_a_recipe_is_seen(tmp_path):
    path = tmp_path / "digits.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(RecipeError, match=re.escape(f"this is an HDF5 file, so data; `dlcli init {path}` writes")):
        read_toml(path)


def test_a_byte_order_mark_and_foreign_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes("\ufeff# größe\r\n[train]\r\nepochs = 3\r\n".encode())
    assert read_toml(path) == ({"train": {"epochs": 3}}, {("train",): 2, ("train", "epochs"): 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [("a = " + "[" * 100_000, "nested too deeply"), ("seed = " + "9" * 5000, "not valid TOML: Exceeds the limit")],
)
def test_what_would_break_the_parser_is_told(tmp_path, text, message):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_toml(tmp_path / "recipe.toml")
