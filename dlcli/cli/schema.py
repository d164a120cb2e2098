"""`dlcli schema`."""

from dlcli.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of recipes, with every installed component, for editors."""
    from dlcli.plugins import load_plugins
    from dlcli.recipe.schema import schema as recipe_schema

    print_json(recipe_schema(load_plugins().registry))
