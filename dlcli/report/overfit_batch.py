"""Whether a network learnt one batch by heart, and what may be why where it did not."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from dlcli.report.figures import count_of, duration, number, rate
from dlcli.report.layout import folded, line, plain_table
from dlcli.report.sparkline import sparkline

if TYPE_CHECKING:
    from dlcli.experiment.overfit_batch import OverfitBatch
    from dlcli.experiment.overfitting.attempt import Attempt


def overfit_batch_view(found: "OverfitBatch") -> RenderableType:
    """Return the picture of what became of one batch."""
    best = found.best
    parts: list[RenderableType] = [
        line("recipe", f"{found.name}, {count_of(found.parameters, 'trained parameter')}"),
        line("batch", f"{count_of(found.rows, 'row')}, {found.loss} {number(found.first)} before any step"),
        folded("off", ", ".join(found.switched_off) or "nothing"),
        folded("goal", _goal(found)),
        *(folded("note", note, style="yellow") for note in found.notes),
        "",
        attempts_table(found.attempts),
        "",
        line("loss", (sparkline(best.losses, 60), "cyan")),
        folded("verdict", verdict(found), style="bold green" if found.reached else "bold red"),
    ]
    if not found.reached:
        causes = found.causes or ("none of those that are looked for: look at the architecture and the loss",)
        parts += [folded("cause" if not place else "or", cause) for place, cause in enumerate(causes)]
    return Group(*parts)


def verdict(found: "OverfitBatch") -> str:
    """Return in a sentence whether the batch was learnt."""
    best = found.best
    what = f"loss {number(best.losses[0])} → {number(best.losses[-1] if found.reached else best.best)}"
    how = f"in {count_of(best.steps, 'step')}, {duration(best.seconds)}"
    right = "" if best.accuracy is None or best.diverged else f", {_share(best.accuracy)} of the batch right"
    if found.reached:
        return f"learnt: {what} {how}{right}"
    return f"not learnt: {what} {how}, not {number(found.goal)}{right}"


def attempts_table(attempts: "tuple[Attempt, ...]") -> Table:
    """Return one row an attempt."""
    table = plain_table()
    table.add_column("optimizer", overflow="fold")
    table.add_column("rate", justify="right")
    table.add_column("steps", justify="right")
    table.add_column("loss", justify="right")
    table.add_column("right", justify="right")
    table.add_column("time", justify="right")
    table.add_column("ended", overflow="fold")
    for place, each in enumerate(attempts):
        right = "–" if each.accuracy is None or each.diverged else _share(each.accuracy)
        name = each.optimizer if place else f"{each.optimizer}, the recipe's"
        loss, seconds = number(each.losses[-1]), duration(each.seconds)
        table.add_row(name, rate(each.learning_rate), f"{each.steps:,}", loss, right, seconds, each.ended)
    return table


def _goal(found: "OverfitBatch") -> str:
    floor = f"{number(found.floor)}, the loss of the best answers," if abs(found.floor) > 1e-6 else "0"
    return f"loss {number(found.goal)}: from {floor} 1 % of the way to {number(found.blind)}, that of blind answers"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value in (0.0, 1.0) else f"{min(max(100 * value, 0.1), 99.9):.1f} %"
