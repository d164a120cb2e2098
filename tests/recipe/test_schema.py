# ruff: noqa: E501 (laid out as tables)
import json
import tomllib
from pathlib import Path

import pytest

from dlcli.plugins import load_plugins
from dlcli.recipe.load import load_recipe
from dlcli.recipe.resolved import resolve
from dlcli.recipe.schema import schema
from dlcli.registry import Entry, Registry

COMMITTED = Path(__file__).with_name("schema.json")
TYPES = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict}
UNDERSTOOD = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "anyOf", "not", "properties",
    "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "minLength", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip


def fits(value, rule, root):
    """Validate by as much of JSON Schema as our schemas use."""
    assert set(rule) <= UNDERSTOOD, set(rule) - UNDERSTOOD
    if "$ref" in rule:
        return fits(value, root["$defs"][rule["$ref"].removeprefix("#/$defs/")], root)
    number = isinstance(value, int | float)
    table = value if isinstance(value, dict) else {}
    items = value if isinstance(value, list) else []
    inner = rule.get("additionalProperties")
    properties = rule.get("properties", {})
    return all(
        [
            "type" not in rule or (isinstance(value, TYPES[rule["type"]]) and (rule["type"] == "boolean") == isinstance(value, bool)),
            "enum" not in rule or value in rule["enum"],
            "not" not in rule or not fits(value, rule["not"], root),
            "anyOf" not in rule or any(fits(value, choice, root) for choice in rule["anyOf"]),
            not number or value >= rule.get("minimum", value),
            not number or value <= rule.get("maximum", value),
            not number or "exclusiveMinimum" not in rule or value > rule["exclusiveMinimum"],
            not number or "exclusiveMaximum" not in rule or value < rule["exclusiveMaximum"],
            not isinstance(value, str) or len(value) >= rule.get("minLength", 0),
            len(items) >= rule.get("minItems", 0),
            len(items) <= rule.get("maxItems", len(items)),
            all(fits(item, rule.get("items", {}), root) for item in items),
            all(fits(item, part, root) for item, part in zip(items, rule.get("prefixItems", []), strict=False)),
            not isinstance(value, dict) or set(rule.get("required", [])) <= set(table),
            inner is not False or set(table) <= set(properties),
            all(fits(table[key], part, root) for key, part in properties.items() if key in table),
            not isinstance(inner, dict) or all(fits(item, inner, root) for key, item in table.items() if key not in properties),
        ]
    )  # fmt: skip


def test_it_says_which_json_schema_it_is_and_resolves_all_of_its_references(registry):
    written = schema(registry)
    assert written["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    text = json.dumps(written)
    references = {part.partition('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert references == set(written["$defs"])


def test_a_component_has_its_names_and_its_fields_with_types_ranges_defaults_and_descriptions(registry):
    written = schema(registry)
    assert written["$defs"]["activation"] == {
        "anyOf": [
            {"enum": ["leaky", "fakes:leaky", "relu", "fakes:relu"]},
            {"$ref": "#/$defs/activation.fakes:leaky"},
            {"$ref": "#/$defs/activation.fakes:relu"},
        ]
    }
    assert written["$defs"]["activation.fakes:leaky"] == {
        "type": "object",
        "description": "A bent ramp.",
        "properties": {
            "name": {"enum": ["leaky", "fakes:leaky"]},
            "slope": {
                "description": "slope left of zero",
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0.01,
            },
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_an_architecture_stands_beside_the_keys_of_its_section(registry):
    net, pair = schema(registry)["properties"]["model"]["anyOf"]
    assert net["description"] == "A network of a few layers."
    assert net["properties"] == {
        "architecture": {"enum": ["net", "fakes:net"]},
        "inputs": {
            "description": "learned layers in front of the architecture; each takes the inputs that it accepts",
            "default": [],
            "type": "array",
            "items": {"$ref": "#/$defs/input_layer"},
        },
        "init": {"description": "initial values; by default the architecture's own", "$ref": "#/$defs/initializer"},
        "hidden": {
            "description": "widths",
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "default": [16],
        },
        "activation": {"$ref": "#/$defs/activation", "default": {"name": "relu"}},
        "dropout": {"description": "rate", "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.0},
        "padding": {"description": "edges", "enum": ["same", "valid"], "default": "same"},
        "kernel": {
            "description": "kernel",
            "anyOf": [
                {"type": "integer"},
                {
                    "type": "array",
                    "prefixItems": [{"type": "integer"}, {"type": "integer"}],
                    "minItems": 2,
                    "maxItems": 2,
                },
            ],
            "default": 3,
        },
    }
    assert pair["required"] == ["architecture", "first"]


def test_a_default_that_is_made_is_told_where_it_depends_on_nothing(registry):
    grouped = schema(registry)["$defs"]["initializer.fakes:grouped"]
    assert grouped["properties"]["groups"]["default"] == [1, 2]
    assert "default" not in grouped["properties"]["twice"]
    assert grouped["required"] == ["name"]


def test_a_name_that_two_packages_have_must_say_whose_it_is(registry):
    relu = next(entry for entry in registry.entries("activation") if entry.name == "relu")
    registry.extend([Entry("activation", "relu", relu.target, "others")])
    (names, *_) = schema(registry)["$defs"]["activation"]["anyOf"]
    assert names["enum"] == ["leaky", "fakes:leaky", "fakes:relu", "others:relu"]


def test_a_kind_of_which_nothing_is_installed_allows_nothing(registry):
    few = Registry()
    few.extend([entry for entry in registry.entries() if entry.kind != "initializer"])
    assert schema(few)["$defs"]["initializer"] == {"anyOf": [{"not": {}}]}


@pytest.mark.parametrize(
    ("section", "key", "value", "valid"),
    [
        ("train", "epochs", 3, True),
        ("train", "epochs", 0, False),
        ("train", "epochs", "3", False),
        ("train", "epoch", 3, False),
        ("train", "optimizer", "adam", True),
        ("train", "optimizer", {"name": "fakes:adam", "lr": 1}, True),
        ("train", "optimizer", {"name": "adam", "lr": 0}, False),
        ("train", "optimizer", {"name": "adam", "lrr": 1}, False),
        ("train", "optimizer", {"lr": 1}, False),
        ("train", "optimizer", "relu", False),
        ("train", "select", "first", False),
        ("model", "hidden", [3, 4], True),
        ("model", "hidden", [], False),
        ("model", "hidden", [3, 0], False),
        ("model", "kernel", [3, 3], True),
        ("model", "kernel", [3, 3, 3], False),
        ("model", "activation", {"name": "leaky", "slope": 2}, False),
        ("model", "name", "net", False),
        ("data", "fields", {"x": "images", "y": {"path": "labels", "role": "target"}}, True),
        ("data", "fields", {"x": {"role": "target"}}, False),
        ("data", "fields", {"x": {"path": "i", "role": "goal"}}, False),
        ("data", "task", "ranking", False),
    ],
)
def test_the_schema_and_the_loader_agree(section, key, value, valid, recipe_text, registry):
    table = tomllib.loads(recipe_text)
    assert fits(table, schema(registry), schema(registry))
    table[section][key] = value
    assert fits(table, schema(registry), schema(registry)) is valid
    if valid:
        assert fits(resolve(load_recipe(table, registry), registry), schema(registry), schema(registry))
    else:
        with pytest.raises(Exception, match=r"\d problems? in the recipe"):
            load_recipe(table, registry)


def test_regularizers_are_names_or_tables_with_or_without_an_id(registry):
    written = schema(registry)
    recipe = {"data": {"path": "d.h5"}, "model": {"architecture": "net"}}
    for item in ("l2", {"name": "l2"}, {"name": "l2", "id": "a", "strength": 1}):
        assert fits({**recipe, "regularizers": [item]}, written, written)
    for item in ("l3", {"id": "a"}, {"name": "l2", "patience": 1}):
        assert not fits({**recipe, "regularizers": [item]}, written, written)


def test_the_schema_of_the_built_ins_is_the_committed_one(monkeypatch):
    monkeypatch.setenv("DLCLI_PLUGINS", "")
    written = schema(load_plugins().registry)
    assert written == json.loads(COMMITTED.read_text(encoding="utf-8")), (
        "what recipes may hold has changed; if that is meant: DLCLI_PLUGINS= dlcli schema > tests/recipe/schema.json"
    )
