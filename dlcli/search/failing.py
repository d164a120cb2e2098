"""When a search is hopeless: trials keep failing."""

import re
from collections import Counter
from collections.abc import Sequence

from dlcli.search.trials import Trial

FIRST, RECENT, MANY = 5, 10, 8


def hopeless(ended: Sequence[Trial], since: int) -> str | None:
    """Judge whether to go on: not where the first five trials failed, or eight of the last ten.

    Args:
        ended: The trials that ended, in that order.
        since: How many of them had ended when this worker joined: a search that was stopped and is started again is
            not judged before it has tried something new.

    Returns:
        What to tell the user, with the most common reason; None where the search should go on.
    """
    if len(ended) <= since:
        return None
    recent = ended[-RECENT:]
    failed = sum(trial.state == "failed" for trial in recent)
    if len(ended) >= FIRST and all(trial.state == "failed" for trial in ended):
        judged, which = ended, f"all {len(ended)} trials failed"
    elif failed >= MANY:
        judged, which = recent, f"{failed} of the last {len(recent)} trials failed"
    else:
        return None
    return (
        f"the search was stopped: {which}, {common_reason(judged)}; narrow the ranges in [tune.space] around settings "
        "that train, or correct what the reason names; the same command tries on, a changed recipe starts afresh"
    )


def common_reason(trials: Sequence[Trial]) -> str:
    """Return the most common reason among failed trials, with how often it was given.

    Args:
        trials: The trials, at least one of them failed.

    Returns:
        Such as `most often (4 of 5) because: the loss became NaN in epoch 1`; numbers in reasons make no difference.
    """
    reasons = [trial.reason or "" for trial in trials if trial.state == "failed"]
    kinds = Counter(re.sub(r"\d+", "0", reason) for reason in reasons)
    kind, count = kinds.most_common(1)[0]
    example = next(reason for reason in reasons if re.sub(r"\d+", "0", reason) == kind)
    return f"most often ({count} of {len(reasons)}) because: {example}"
