"""The importer of a source: the one that is asked for, or the one that reads such files."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dlcli.contracts.importer import Importer
from dlcli.errors import DataError, UsageError
from dlcli.experiment.format_parameters import parameter_problems, settings_of
from dlcli.experiment.prediction.predictor import those_that_load
from dlcli.plugins import Plugins
from dlcli.registry import Registry

_LOOKED_AT = 1000
"""Files of a folder or zip whose names are looked at, to find out what it holds."""


def parameters_of(settings: Sequence[str], **columns: str | None) -> dict[str, Any]:
    """Return an importer's parameters from what the command line says.

    Args:
        settings: `KEY=VALUE`, any parameter of the importer.
        **columns: Parameters that have an option of their own, such as `target`; None where not given. A whole number
            is a position.

    Returns:
        The parameters by name.

    Raises:
        UsageError: A setting is no `KEY=VALUE`.
    """
    given = {key: _position(text) for key, text in columns.items() if text is not None}
    return given | settings_of(settings)


def choose_importer(source: Path, name: str | None, parameters: Mapping[str, Any], plugins: Plugins) -> Importer:
    """Find the importer of a source and give it parameters.

    Args:
        source: A file or folder.
        name: Name of the importer, or `distribution:name`; None to go by the source's suffix, or by what it holds.
        parameters: Those that are not to have their default.
        plugins: Where importers are.

    Returns:
        The importer.

    Raises:
        UsageError: None, or several, read such a source; or it does not take such parameters.
        DataError: There is no such source, or it is empty.
        PluginError: An importer is broken.
    """
    _check_source(source)
    registry = plugins.registry
    name = name or fitting(source, registry)
    try:
        return registry.component(Importer, {"name": name, **parameters})
    except ValidationError as error:
        raise UsageError(parameter_problems("importer", name, parameters, error, registry)) from None
    except ValueError as error:
        raise UsageError(f"--format: {error}") from None


def fitting(source: Path, registry: Registry) -> str:
    """Find the importer that reads a source, by its suffix or by what it holds.

    Args:
        source: A file or folder.
        registry: Where importers are.

    Returns:
        Its name, `distribution:name`.

    Raises:
        UsageError: None reads such a source without being asked to, or several do.
        DataError: There is no such source, it is empty, or it is no zip archive.
        PluginError: An importer is broken, and none of the others reads it.
    """
    _check_source(source)
    importers, broken = those_that_load(registry, Importer, "suffixes")
    together = source.is_dir() or source.suffix.lower() == ".zip"
    if together:
        names = [name.lower() for name in islice(_contents(source), _LOOKED_AT)]
        counts = [sum(name.endswith(i.contents) for name in names) for i in importers]
        # A picture beside many tables is no data set of pictures.
        fitting = [i for i, count in zip(importers, counts, strict=True) if count and count == max(counts)]
    else:
        name = source.name.lower()
        fitting = [i for i in importers if name.endswith(i.suffixes)]
        fitting = fitting or [i for i in importers if name.endswith(i.contents)]
    if len(fitting) == 1:
        return registry.label(fitting[0])
    if broken and not fitting:
        raise broken
    formats = ", ".join(sorted(registry.label(i).removeprefix("dlcli:") for i in fitting or importers))
    if together and not names:
        raise DataError(f"the archive {source} holds no files, so there is nothing to read; check the path")
    if together and not fitting:
        endings = ", ".join(dict.fromkeys(ending for importer in importers for ending in importer.contents))
        raise UsageError(
            f"no importer reads files of {source}, such as {', '.join(names[:3])}; by themselves those are read that "
            f"end with {endings}: name another folder or one file, or say which importer reads it, --format {formats}"
        )
    what = "a folder or zip" if together else f"a file like {source.name}"
    why = f"several importers read {what}" if fitting else f"no importer reads {what} unless it is asked to"
    raise UsageError(f"{why}: say which with --format, {formats}")


def _check_source(source: Path) -> None:
    if not source.exists():
        raise DataError(f"there is no file {source}; check the path")
    if source.is_dir() and not any(path.is_file() for path in source.rglob("*")):
        raise DataError(f"the folder {source} holds no files, so there is nothing to read; check the path")
    if source.is_file() and not source.stat().st_size:
        raise DataError(f"the file {source} is empty, so there is nothing to read; check the path, or copy it again")


def _contents(source: Path) -> Iterator[str]:
    if source.is_dir():
        return (path.name for path in source.rglob("*") if path.is_file())
    try:
        with zipfile.ZipFile(source) as archive:
            return iter([info.filename for info in archive.infolist() if not info.is_dir()])
    except (zipfile.BadZipFile, OSError) as cause:
        raise DataError(f"{source} cannot be read as a zip archive: {cause}; copy it again") from cause


def _position(text: str) -> str | int:
    return int(text) if text.removeprefix("-").isdecimal() else text
