"""The closing summary of an ensemble."""

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dlcli.report.ensemble_members import member_names, members_table
from dlcli.report.ensemble_outcome import Calibration, Comparison, EnsembleOutcome, Gain
from dlcli.report.failures import failure_lines
from dlcli.report.figures import count_of, duration, score_of
from dlcli.report.layout import folded, line, plain_table
from dlcli.report.summary import STYLES, splits_table


def ensemble_summary_view(outcome: EnsembleOutcome) -> RenderableType:
    """Return where the run is, its members, what combining them gained, how far it can be believed, and what is next.

    Notes are left out: the display has shown each when it came up.
    """
    parts: list[RenderableType] = [
        line("run", str(outcome.run), "  ", (outcome.status, STYLES.get(outcome.status, ""))),
        folded("made", _made(outcome)),
        *_model(outcome),
    ]
    if outcome.score is not None:
        parts.append(folded("score", f"{outcome.monitor} {score_of(outcome.score)} on validation rows"))
    if outcome.members:
        parts += ["", members_table(outcome)]
    names = member_names(outcome.members)
    failed = {names[member.identity]: member.failure for member in outcome.members if member.failure is not None}
    if failed:
        parts += ["", *failure_lines(failed, "member")]
    if outcome.comparison is not None:
        parts += ["", comparison_table(outcome), *_judged(outcome, outcome.comparison)]
    if figures := splits_table(_further(outcome)):
        parts += ["", figures]
    if calibration := _calibration(outcome):
        parts += ["", *calibration]
    parts.append("")
    if outcome.picture is not None:
        parts.append(line("picture", str(outcome.picture)))
    return Group(*parts, *(line(label, command) for label, command in next_commands(outcome)))


def next_commands(outcome: EnsembleOutcome) -> list[tuple[str, str]]:
    """Return the commands that make sense after the run, each after its label."""
    if outcome.status != "finished":
        return [("go on", f"dlcli ensemble --resume {outcome.run}")]
    commands = [("next", f"dlcli evaluate {outcome.run} --data FILE.h5")]
    if outcome.extends:
        commands.append(("more", f"dlcli ensemble --resume {outcome.run} --members {2 * len(outcome.members)}"))
    return commands


def comparison_table(outcome: EnsembleOutcome) -> Table:
    """Return the ensemble, its best member and the mean of members on the same rows, and what the ensemble gained.

    Args:
        outcome: The ensemble.

    Returns:
        A table of the loss and each metric.

    Raises:
        ValueError: There is no comparison.
    """
    comparison = outcome.comparison
    if comparison is None:
        raise ValueError("nothing was compared: the outcome has no comparison")
    best = member_names(outcome.members).get(comparison.best_member, comparison.best_member)
    count = sum(bool(member.figures) for member in outcome.members)
    table = plain_table()
    table.add_column(f"{comparison.rows:,} {comparison.split} rows", overflow="fold")
    for name in comparison.ensemble:
        table.add_column(name, justify="right")
    table.add_column("gain in loss", justify="right")
    rows = (
        (_subject(outcome), comparison.ensemble, None, "bold green"),
        (f"best member, {best}", comparison.best, comparison.gain_on_best, ""),
        (f"mean of {count_of(count, 'member')}", comparison.mean, comparison.gain_on_mean, ""),
    )
    for label, figures, gain, style in rows:
        cells = [score_of(figures.get(name)) for name in comparison.ensemble]
        table.add_row(label, *cells, _gain(gain) if gain else "", style=style)
    return table


def _subject(outcome: EnsembleOutcome) -> str:
    return {"combination": "ensemble", "weights": "averaged weights", "single": "the model"}[outcome.kind]


def _gain(gain: Gain) -> str:
    """A gain and its error with the same decimals: four, or more where the error is too small for these."""
    error = gain.standard_error
    if not math.isfinite(error):
        return f"{gain.value:+,.4f}"
    digits = 1 - math.floor(math.log10(error)) if error > 0 else 0
    decimals = min(max(digits, 4 if error < 1e3 else 0), 8)
    return f"{gain.value:+,.{decimals}f} ± {error:,.{decimals}f}"


def _made(outcome: EnsembleOutcome) -> str:
    given = [member for member in outcome.members if member.source is not None]
    # One network trained here, by the answers of models that are no part of it.
    learned = outcome.kind == "single" and 0 < len(given) < len(outcome.members) and not any(m.used for m in given)
    trained = count_of(len(outcome.members) - len(given), "network")
    made = f"{outcome.strategy}: {trained if learned else count_of(len(outcome.members), 'member')}"
    if outcome.seconds:
        made += f" in {duration(outcome.seconds)}"
    if learned:
        made += f", learned from {', '.join(dict.fromkeys(str(member.source) for member in given))}"
    parts = ((outcome.relative_seconds, "training time"), (outcome.relative_parameters, "parameters"))
    multiples = [f"{value:.1f} × the {what}" for value, what in parts if value is not None and math.isfinite(value)]
    return f"{made}; {' and '.join(multiples)} of one" if multiples else made


def _model(outcome: EnsembleOutcome) -> list[RenderableType]:
    """What the model is, where that is not the combination of all members."""
    used = [member for member in outcome.members if member.used and member.failure is None]
    if outcome.kind == "weights":
        return [folded("model", f"one network, whose weights are the average of {len(used)}")]
    if outcome.kind == "single" and len(outcome.members) == 1:
        return [folded("model", "one network")]
    if outcome.kind == "single" and used:
        return [folded("model", f"one network, {member_names(outcome.members)[used[0].identity]}")]
    unused = any(not member.used and member.failure is None for member in outcome.members)
    return [folded("model", f"{len(used)} of the members, combined")] if unused and used else []


def _judged(outcome: EnsembleOutcome, comparison: Comparison) -> list[RenderableType]:
    """How the comparison is to be read, and how much members differ."""
    parts: list[RenderableType] = []
    how = "Gain: how much smaller the ensemble's loss is, ± its standard error."
    if comparison.split == "val":
        how += " Choices were made on these rows, so all figures are a little too good."
    elif any(member.score is not None for member in outcome.members):
        how += " Best: by its score on validation rows."
    parts.append(Text(how, style="dim"))
    gain = comparison.gain_on_best
    if outcome.kind != "single" and gain.value <= 2 * gain.standard_error and len(outcome.members) > 1:
        parts.append(Text(_doubt(gain), style="yellow"))
    facts = []
    if comparison.disagreement is not None:
        facts.append(f"two members disagree on {comparison.disagreement:.1%} of rows")
    if comparison.error_correlation is not None:
        facts.append(f"errors of two members correlate at {comparison.error_correlation:.2f}")
    if facts:
        parts.append(folded("diverse", "; ".join(facts)))
    return parts


def _doubt(gain: Gain) -> str:
    if gain.value + 2 * gain.standard_error < 0:
        return "Worse than the best member on these rows."
    return "Not clearly better than the best member: by less than two standard errors."


def _further(outcome: EnsembleOutcome) -> dict[str, dict[str, float] | None]:
    """The model's figures on rows other than those of the comparison."""
    figures = {"train": outcome.train, "val": outcome.val, "test": outcome.test}
    if outcome.unseen_kind is not None:
        figures[outcome.unseen_kind] = outcome.unseen
    if outcome.comparison is not None and figures[outcome.comparison.split] == outcome.comparison.ensemble:
        figures[outcome.comparison.split] = None
    return {split: dict(values) if values else None for split, values in figures.items()}


def _calibration(outcome: EnsembleOutcome) -> list[RenderableType]:
    scaling = outcome.temperature_scaling
    rows: dict[str, Calibration] = {}
    if scaling is not None:
        rows = {"as it is": scaling.before, f"temperature {scaling.temperature:.3f}": scaling.after}
    elif outcome.calibration is not None:
        rows = {"as it is": outcome.calibration}
    if not rows:
        return []
    table = plain_table()
    for name in ("calibration", "negative\nlog-likelihood", "Brier\nscore", "calibration\nerror"):
        table.add_column(name, justify="left" if name == "calibration" else "right", vertical="bottom")
    for name, values in rows.items():
        table.add_row(name, score_of(values.nll), score_of(values.brier), score_of(values.ece))
    if scaling is None:
        return [table]
    if scaling.applied:
        return [
            table,
            Text("The model divides its outputs by the temperature, fitted on validation rows.", style="dim"),
        ]
    how = "Not applied: --set ensemble.temperature_scaling=true does it."
    return [table, Text(how, style="dim")]
