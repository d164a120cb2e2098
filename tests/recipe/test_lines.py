import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from dlcli.recipe.lines import KeyPath, line_numbers

DOCUMENT = '''# a comment with = and [brackets]
title = "t1" # name = "not a key"
a.b."c.d" = "t2"

[data]   # [[not]]
path = """
[data.inside]
x = 1
"""
split = { val = "t3", inner = { deep = ["t4", "t5"] } }
list = [ # one
  "t6",
  { name = "t7", text = """
    """, size = "t8" },

  ["t9",
   't10'],  # last, with a comma
]
literal = \'\'\'it's
two\'\'\'\'
"quoted key" = 't11'
'literal # key' = 1979-05-27 07:32:00
number = -1.5e-3

[data.fields.x]
path = "t12"
[[regularizers]]
name = "t13"
[regularizers.inner]
key = "t14"
[[regularizers.many]]
key = "t15"

[[regularizers]]
name = "t16"
  [[regularizers.many]]
  key = "t17"
  [[regularizers.many]]
  key.dotted = "t18"
[ spaced . header ]
k = ""
empty = """"""
quotes = """a""b\\""" ""\\\""""
last = {}
'''


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


def paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Every key and list item."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path for path in [path] if path} | {found for key, item in inner for found in paths(item, (*path, key))}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_of_a_document_with_all_forms_has_the_line_that_holds_its_value(newline):
    text = DOCUMENT.replace("\n", newline)
    found = line_numbers(text)
    lines = text.splitlines()
    parsed = tomllib.loads(text)
    assert set(found) == paths(parsed)
    sentinels = {path: value for path, value in leaves(parsed) if isinstance(value, str) and value[:1] == "t"}
    assert len(sentinels) == 18
    for path, value in sentinels.items():
        line = lines[found[path] - 1]
        assert f'"{value}"' in line or f"'{value}'" in line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("data",), 5),
        (("data", "path"), 6),
        (("data", "list"), 11),
        (("data", "list", 1), 13),
        (("data", "list", 1, "size"), 14),
        (("data", "literal"), 19),
        (("data", "quoted key"), 21),
        (("data", "literal # key"), 22),
        (("data", "fields"), 25),
        (("regularizers",), 27),
        (("regularizers", 1), 34),
        (("regularizers", 1, "many", 1), 38),
        (("spaced", "header", "last"), 44),
    ],
)
def test_tables_lists_and_odd_keys_have_the_line_on_which_they_start(path, line):
    assert line_numbers(DOCUMENT)[path] == line


def test_an_empty_document_has_no_lines():
    assert line_numbers("\n# nothing\n") == {}


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(text, values, max_size=4))
def test_it_reads_the_same_keys_as_the_parser_in_whatever_tomlkit_writes(table):
    written = tomlkit.dumps(table)
    assert set(line_numbers(written)) == paths(tomllib.loads(written))
