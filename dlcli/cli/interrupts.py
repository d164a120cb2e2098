"""Ctrl-C: what is told of it, by commands that save no state of their own."""

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from dlcli.errors import Interrupted


class Commands(TyperGroup):
    """Commands of which each, stopped by Ctrl-C, says so."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Args:
            ctx: Its context.

        Returns:
            What it returns.

        Raises:
            Interrupted: The user stopped it.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


class WritingCommand(TyperCommand):
    """A command with `--output` or `--html`, a file that appears whole or not at all."""

    def invoke(self, ctx: Any) -> Any:
        """Run it, and say after Ctrl-C what became of the file.

        Args:
            ctx: Its context.

        Returns:
            What it returns.

        Raises:
            Interrupted: The user stopped it.
        """
        path = ctx.params.get("output") or ctx.params.get("html")
        before = _version(path)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if _version(path) != before:
                raise Interrupted(f"interrupted: {path} was written before that, whole") from None
            # A benchmark runs after the artefact was written, wherever that is by default.
            unknown = path is None and ctx.params.get("bench")
            raise Interrupted("interrupted" if unknown else "interrupted: nothing was written") from None


def _version(path: Path | None) -> object:
    """Return what differs once a file, or files of a folder, are written anew; None where there are none."""
    if path is None or not path.exists():
        return None
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    return [(file.name, file.stat().st_ino, file.stat().st_mtime_ns) for file in files] or None
