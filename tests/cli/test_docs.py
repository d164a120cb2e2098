"""docs/commands.md tells of every command; that its help texts are current is checked by `cog --check`."""

from pathlib import Path

import pytest
import typer

from dlcli.cli.app import make_app

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


def paths(command, prefix=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(prefix)
    else:
        for name, child in inner.items():
            yield from paths(child, (*prefix, name))


@pytest.mark.parametrize("command", list(paths(typer.main.get_command(make_app()))))
def test_every_command_has_its_section(command):
    text = COMMANDS.read_text(encoding="utf-8")
    assert f"\n## dlcli {command}\n" in text
    assert f"Usage: dlcli {command} " in text
