"""What failed, and why: one line a reason."""

from collections import defaultdict
from collections.abc import Mapping

from rich.text import Text

from dlcli.report.figures import count_of
from dlcli.report.layout import line
from dlcli.report.tune_text import shortened

SHOWN_REASONS = 5


def grouped(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return for each reason the names that it holds for, both in the order of their first mention."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        names[reason].append(name)
    return names


def failure_lines(failed: Mapping[str, str], noun: str) -> list[Text]:
    """Return a line for each of the first reasons, and how many more there are.

    Args:
        failed: Why each failed, by its name.
        noun: What failed, such as `trial`.

    Returns:
        The lines; none where nothing failed.
    """
    reasons = list(grouped(failed).items())
    lines = []
    for reason, names in reasons[:SHOWN_REASONS]:
        what = f"{noun} {names[0]}" if len(names) == 1 else f"{noun}s {shortened(', '.join(names), 40)}"
        lines.append(line("failed", f"{what}: {reason}"))
    if len(reasons) > SHOWN_REASONS:
        lines.append(line("", f"and {count_of(len(reasons) - SHOWN_REASONS, 'more reason')}; --json has them all"))
    return lines
