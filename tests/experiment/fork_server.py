"""Trains in forked children that can be killed: torch is imported once, so that a kill test takes seconds.

Reads one JSON object a line, the arguments of `dlcli.train` or of what `function` names; prints `pid <number>` and
`exit <status>`.
"""

import json
import os
import sys

import optuna.importance  # noqa: F401  what the end of a search imports
import torch

from dlcli.errors import DlcliError
from dlcli.experiment.ensemble import ensemble
from dlcli.experiment.train import train
from dlcli.experiment.tune import tune
from dlcli.plugins import load_plugins

torch.set_num_threads(1)
# Everything that a first training imports, so that a child spends its time training.
torch.optim.Adam([torch.zeros(1, requires_grad=True)])
plugins = load_plugins()
for entry in plugins.registry.entries():
    plugins.registry.load(entry)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        arguments = json.loads(line)
        os.chdir(arguments.pop("folder"))
        function = {"train": train, "tune": tune, "ensemble": ensemble}[arguments.pop("function", "train")]
        try:
            function(*arguments.pop("sources", ()), plugins=plugins, **arguments)
        except DlcliError as error:
            print(f"error {error}", flush=True)
            os._exit(1)
        os._exit(0)
    print(f"pid {child}", flush=True)
    print(f"exit {os.waitpid(child, 0)[1]}", flush=True)
