"""The closing summary of a search."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlcli.report.failures import failure_lines, grouped
from dlcli.report.figures import count_of, duration, number
from dlcli.report.layout import line, plain_table
from dlcli.report.sparkline import bar
from dlcli.report.tune_outcome import SHOWN_TRIALS, BorderWarning, TuneOutcome
from dlcli.report.tune_table import TrialsTable
from dlcli.report.tune_text import epochs_text, score_text, short_names, value_text
from dlcli.report.tune_view import TrialRow, ranked

STYLES = {"finished": "green", "interrupted": "yellow", "failed": "red"}
BAR_WIDTH = 30
FEW_TRIALS = 20
"""Finished trials below which importances are a hint at most."""


def tune_summary_view(outcome: TuneOutcome) -> RenderableType:
    """Return where the search is, its best trials, what mattered, what tuning gained, and what to type next.

    Notes are left out: the display has shown each when it came up.
    """
    search = outcome.search
    best = ranked(search.trials, search.direction)
    parts: list[RenderableType] = [
        line("run", str(search.run), "  ", (outcome.status, STYLES[outcome.status])),
        line("tried", _counts(outcome)),
    ]
    if outcome.stopped:
        parts.append(line("stopped", outcome.stopped))
    if best:
        parts += [_best(outcome, best[0]), "", TrialsTable(best[:SHOWN_TRIALS], _telling_keys(outcome), search.monitor)]
    elif search.trials:
        parts.append(line("best", "no trial finished"))
    parts += _failures(outcome)
    if best:
        parts += ["", *_importances(outcome)]
    if comparison := comparison_table(outcome):
        parts += ["", comparison, *_verdict(outcome)]
    for border in outcome.borders:
        parts += ["", *_border(border)]
    commands = next_commands(outcome)
    if outcome.pictures or commands:
        parts.append("")
    parts += [line("picture", str(path)) for path in outcome.pictures]
    return Group(*parts, *(line(label, command) for label, command in commands))


def next_commands(outcome: TuneOutcome) -> list[tuple[str, str]]:
    """Return the commands that make sense after the search, each after its label."""
    if outcome.status != "finished":
        return [("go on", outcome.go_on)] if outcome.go_on else []
    commands = [("train", f"dlcli train {outcome.best_recipe}")] if outcome.best_recipe else []
    if outcome.tuned is not None and outcome.tuned.epochs is not None:
        commands.append(("evaluate", f"dlcli evaluate {outcome.search.run}"))
    return commands


def comparison_table(outcome: TuneOutcome) -> Table | None:
    """Return the recipe as it was beside the best setting: the score on the same folds, and the test split.

    None where neither was measured.
    """
    models = {"untuned": outcome.untuned, "tuned": outcome.tuned}
    known = {name: scores for name, scores in models.items() if scores is not None}
    if not known:
        return None
    table = plain_table()
    table.add_column("")
    for name in known:
        table.add_column(name, justify="right")
    if len(known) == 2:
        table.add_column("")
    search = outcome.search
    where = f"over {search.folds} folds" if search.folds > 1 else "validation"
    scores = [score_text(scores.score, scores.spread) for scores in known.values()]
    table.add_row(f"{search.monitor}, {where}", *scores, *([_gain(outcome)] if len(known) == 2 else []))
    for metric in dict.fromkeys(name for scores in known.values() for name in scores.test):
        cells = [number(scores.test.get(metric)) for scores in known.values()]
        table.add_row(f"{metric}, test", *cells)
    if any(scores.epochs is not None for scores in known.values()):
        table.add_row("epochs, final", *(epochs_text(scores.epochs) for scores in known.values()))
    return table


def _gain(outcome: TuneOutcome) -> str:
    """On how many folds the best setting wins, which says more than a difference of means."""
    assert outcome.tuned is not None
    assert outcome.untuned is not None
    tuned, untuned = outcome.tuned.fold_scores, outcome.untuned.fold_scores
    if len(tuned) < 2 or len(tuned) != len(untuned):
        return ""
    sign = 1.0 if outcome.search.direction == "min" else -1.0
    wins = sum(sign * first < sign * second for first, second in zip(tuned, untuned, strict=True))
    return f"better on {wins} of {len(tuned)} folds"


def _counts(outcome: TuneOutcome) -> str:
    search = outcome.search
    states = [row.state for row in search.trials]
    counts = [f"{states.count(state)} {state}" for state in ("finished", "pruned", "failed") if state in states]
    tail = f": {', '.join(counts)}" if counts else ""
    ended = len(states) - states.count("running")
    return f"{count_of(ended, 'trial')} in {duration(search.seconds)}{tail}"


def _best(outcome: TuneOutcome, row: TrialRow) -> RenderableType:
    search = outcome.search
    over = f" over {search.folds} folds" if search.folds > 1 else ""
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for key, value in row.setting.items():
        grid.add_row(Text(f"         {key}"), Text(value_text(value)))
    return Group(line("best", f"trial {row.number}, {search.monitor} {score_text(row.score, row.spread)}{over}"), grid)


def _judged(outcome: TuneOutcome) -> str:
    """From how many trials the importances come: few say little."""
    finished = len(ranked(outcome.search.trials, outcome.search.direction))
    return f"{count_of(finished, 'finished trial')}{', so a hint at most' if finished < FEW_TRIALS else ''}"


def _verdict(outcome: TuneOutcome) -> list[RenderableType]:
    """Say so where the search found nothing better than the recipe as it was."""
    tuned, untuned = outcome.tuned, outcome.untuned
    if tuned is None or untuned is None or tuned.score is None or untuned.score is None:
        return []
    sign = 1.0 if outcome.search.direction == "min" else -1.0
    if sign * tuned.score < sign * untuned.score:
        return []
    return [
        "",
        Text("The recipe as it was is no worse than the best setting: keep it, or search longer.", style="bold yellow"),
    ]


def _telling_keys(outcome: TuneOutcome) -> list[str]:
    """The tuned keys, the important ones first, so that a narrow terminal leaves out the others."""
    space = outcome.search.space
    return sorted(space, key=lambda key: -outcome.importances.get(key, 0.0))


def _importances(outcome: TuneOutcome) -> list[RenderableType]:
    names = short_names(outcome.search.space)
    if not outcome.importances:
        return [line("matters", f"no importances: {outcome.importances_reason}")] if outcome.importances_reason else []
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    largest = max(outcome.importances.values())
    for key, share in outcome.importances.items():
        width = bar(share / largest if largest > 0 else 0.0, BAR_WIDTH)
        grid.add_row(Text(names.get(key, key)), f"{share:.0%}", Text(width, style="cyan"))
    parts: list[RenderableType] = [Text(f"what matters (PED-ANOVA, {_judged(outcome)})", style="bold"), grid]
    if outcome.importances_left_out:
        reasons = grouped({names.get(key, key): reason for key, reason in outcome.importances_left_out.items()})
        parts += [Text(f"left out: {', '.join(keys)} ({reason})", style="dim") for reason, keys in reasons.items()]
    return parts


def _failures(outcome: TuneOutcome) -> list[RenderableType]:
    failed = {str(row.number): row.reason or "no reason" for row in outcome.search.trials if row.state == "failed"}
    lines = failure_lines(failed, "trial")
    return ["", *lines] if lines else []


def _border(border: BorderWarning) -> list[RenderableType]:
    side = "lower" if border.end == "low" else "upper"
    span = f"[{value_text(border.low)}, {value_text(border.high)}]"
    what = f"{border.key} = {value_text(border.value)} is at the {side} end of its range {span}; better may lie beyond."
    return [
        line("border", what, style="bold yellow"),
        line("", "Widen it in [tune.space]:"),
        # Not indented, so that it can be copied whole.
        Text(border.toml, no_wrap=True, overflow="ignore"),
    ]
