"""How long `dlcli --help` takes, as a ratio to a ten-line typer and rich app: `python tests/bench/bench_help.py`.

CPU time of child processes, so that other work on the machine counts less.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

from interleaved import ratios, show

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 31
TEN_LINES = [sys.executable, str(Path(__file__).with_name("ten_line_app.py"))]
DLCLI = [sys.executable, "-c", "from dlcli.cli.app import main; main()"]


def help_of(command: list[str]) -> None:
    """Run a command's --help."""
    subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "100"})


def children_seconds() -> float:
    """Return the user and system time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    work = {"ten-line app": lambda: help_of(TEN_LINES), "dlcli --help": lambda: help_of(DLCLI)}
    found = ratios(work, "ten-line app", pairs=PAIRS, clock=children_seconds)
    show("dlcli --help / ten-line typer and rich app", found["dlcli --help"], "≤ 1.3")
