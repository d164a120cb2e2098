"""The health of plugins."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dlcli.report.figures import count_of

if TYPE_CHECKING:
    from dlcli.experiment.doctor import PluginHealth


def health_view(health: Sequence["PluginHealth"]) -> RenderableType:
    """Return a line a plugin, and under it what is to be mended."""
    if not health:
        return Text("no plugins are installed; what dlcli brings itself is in `dlcli plugins list`")
    return Group(*(text for plugin in health for text in _lines(plugin)))


def _lines(plugin: "PluginHealth") -> list[Text]:
    state, style = ("ok", "green") if plugin.healthy else ("broken" if plugin.cause else "mend", "bold red")
    facts = [f"loads in {plugin.seconds * 1000:.0f} ms", count_of(plugin.components, "component")]
    if plugin.hooks:
        facts.append(f"hooks {', '.join(plugin.hooks)}")
    head = f"{plugin.distribution} {plugin.version} ({plugin.module}): {'; '.join(facts)}"
    wrong = [plugin.cause] if plugin.cause else []
    if plugin.imports:
        names = ", ".join(plugin.imports)
        wrong.append(f"loading it imports {names}, and every command pays for that: import them where they are used")
    wrong += plugin.faults
    return [Text.assemble((f"{state:8}", style), head), *(Text(f"        {what}") for what in wrong)]
