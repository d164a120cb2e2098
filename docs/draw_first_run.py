"""Draws docs/images/first-run.svg from a real run: `python docs/draw_first_run.py` in the repository's root.

The upper half is the live display as it stood in epoch 18, the lower half what the command leaves on the terminal.
"""

import io
import re
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from dlcli.experiment.train import train
from dlcli.report.live import LiveDisplay
from dlcli.report.summary import summary_view

COMMAND = "dlcli train recipes/digits/mlp.toml"
EPOCH = 18


class Snapshot(LiveDisplay):
    """Keeps the picture of one moment."""

    def __init__(self, console: Console, into: Console) -> None:
        super().__init__(console)
        self.into = into
        self.taken = False

    def step_finished(self, step: int, loss: object, learning_rate: float) -> None:
        self._next_drawing = 0.0
        super().step_finished(step, loss, learning_rate)
        if self._epoch == EPOCH and step == 12 and not self.taken:
            self.taken = True
            self.into.print(self.picture())


def main() -> None:
    console = Console(record=True, width=92, force_terminal=True, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}", style="bold"))
    unseen = Console(file=io.StringIO(), force_terminal=True, width=92)
    with tempfile.TemporaryDirectory() as folder:
        summary = train(COMMAND.split()[-1], runs=Path(folder), display=Snapshot(unseen, console))
        shown = type(summary)(**{**vars(summary), "run": Path("runs/digits-mlp/0001")})
    console.print(Text("…\n", style="dim"))
    console.print(summary_view(shown))
    # Without the web fonts that rich would have the reader's browser fetch.
    own_fonts = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    text = console.export_svg(title="dlcli", code_format=own_fonts).replace(
        str(Path(summary.run)), "runs/digits-mlp/0001"
    )
    Path("docs/images/first-run.svg").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
