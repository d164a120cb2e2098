"""Commands of plugins: asked for one plugin at a time, so that a broken one is named and the rest go on."""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import typer

GROUP_HEADER = "[dlcli]"


def add_plugin_commands(app: typer.Typer) -> list[str]:
    """Add the commands of every installed plugin; built-ins have none, so they are not loaded.

    Each plugin gets an app of its own, whose commands move over once they are known to work: what a broken plugin
    did before it broke is left behind.

    Args:
        app: The app of dlcli.

    Returns:
        One line for every plugin that is broken, or brings a command that cannot be had.
    """
    if not may_have_plugins():
        return []
    from dlcli.plugins import empty, load_entry_points

    plugins = load_entry_points(empty())
    warnings = [f"broken plugin {record}; `dlcli plugins doctor` says more" for record in plugins.broken]
    records = {f"{record.distribution}:{record.name}": record for record in plugins.records}
    for implementation in plugins.manager.hook.register_commands.get_hookimpls():
        record = records[implementation.plugin_name]
        origin = f"{record.distribution} {record.version} ({record.module})"
        own = typer.Typer()
        try:
            implementation.function(**dict.fromkeys(implementation.argnames, own))
            clash = sorted(_names(own) & _names(app))
        except Exception as error:
            warnings.append(f"broken plugin {origin}: its commands: {type(error).__name__}: {error}")
            continue
        if clash:
            warnings.append(f"the commands of plugin {origin} are left out: there is {', '.join(clash)} already")
            continue
        app.registered_commands.extend(own.registered_commands)
        app.registered_groups.extend(own.registered_groups)
    return warnings


def may_have_plugins() -> bool:
    """Return whether some installed package may have an entry point of ours.

    This looks for our group in the files that say so, because importing `importlib.metadata` and `pluggy` to learn
    that there is none takes as long as a fifth of the whole `dlcli --help`. Where packages may come from elsewhere
    than folders, the answer is yes.
    """
    if os.environ.get("DLCLI_PLUGINS") == "":
        return False
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return True
    return any(_names_our_group(Path(entry or ".")) for entry in sys.path)


def _names_our_group(place: Path) -> bool:
    if not place.is_dir():
        return place.exists()
    files = (file for kind in ("dist", "egg") for file in place.glob(f"*.{kind}-info/entry_points.txt"))
    return any(GROUP_HEADER in file.read_text(encoding="utf-8", errors="replace") for file in files)


def _names(app: typer.Typer) -> set[str]:
    """Return the names of an app's commands, built as they will be, so that a wrong signature shows here."""
    group = typer.Typer()
    group.callback()(lambda: None)
    group.registered_commands = app.registered_commands
    group.registered_groups = app.registered_groups
    command = typer.main.get_command(group)
    return set(getattr(command, "commands", {}))
