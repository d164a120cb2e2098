"""The health of every plugin, each examined in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from dlcli.plugins import PluginRecord, Plugins

PROBE_SECONDS = 60


@dataclass(frozen=True)
class PluginHealth:
    """What became of one entry point, in this process and in a fresh one.

    Args:
        name: Its name.
        module: Its module.
        distribution: The package that it comes from.
        version: That package's version.
        seconds: Time to import it and register, in a fresh process.
        cause: Why it is broken; None where it is not.
        imports: Heavy modules, such as torch, that loading it imports and should not: every command pays for them.
        hooks: The hooks that it implements.
        components: How many components it registers.
        faults: What is wrong with components that cannot be imported.
    """

    name: str
    module: str
    distribution: str
    version: str
    seconds: float
    cause: str | None
    imports: tuple[str, ...]
    hooks: tuple[str, ...]
    components: int
    faults: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to mend."""
        return not (self.cause or self.imports or self.faults)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-ready table."""
        return {**asdict(self), "healthy": self.healthy}


def doctor(plugins: Plugins) -> list[PluginHealth]:
    """Examine every entry point, each in a fresh process.

    Args:
        plugins: What is loaded.

    Returns:
        Its health, one an entry point, in the order of loading.
    """
    return [_examine(record) for record in plugins.records]


def _examine(record: PluginRecord) -> PluginHealth:
    """Load one plugin, and what it registers, in a fresh process."""
    command = [sys.executable, "-m", "dlcli.experiment.plugin_probe", record.module, record.distribution]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    found: dict[str, Any] = {"seconds": 0.0, "imports": (), "hooks": (), "components": 0, "faults": ()}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        found |= {"seconds": float(PROBE_SECONDS), "cause": f"loading it does not end within {PROBE_SECONDS} s"}
    else:
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            found["cause"] = f"loading it ends the process with exit code {done.returncode}: {last}"
        else:
            # A plugin may print while it loads; the report is the last line.
            found |= json.loads(done.stdout.splitlines()[-1])
    return PluginHealth(
        name=record.name,
        module=record.module,
        distribution=record.distribution,
        version=record.version,
        seconds=found["seconds"],
        cause=record.cause or found["cause"],
        imports=tuple(found["imports"]),
        hooks=tuple(found["hooks"]),
        components=found["components"],
        faults=tuple(found["faults"]),
    )
