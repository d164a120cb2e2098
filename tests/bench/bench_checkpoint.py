"""What checkpointing costs with its defaults: `python tests/bench/bench_checkpoint.py [SECONDS]`.

Trains the digits MLP for 60 s and counts the time spent on checkpoints: writing them, and the copies in memory of the
best parameters. Asked for: at most 2 %.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from bench_training import Unwatched, ours

from dlcli.errors import Interrupted
from dlcli.training.loop import Loop
from dlcli.training.network import BestParameters

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0


def main() -> None:
    torch.set_num_threads(1)
    spent = {name: [0.0, 0.0] for name in ("_write_checkpoint", "take")}

    def timed(cls: type, name: str) -> Callable[[Any], None]:
        original = getattr(cls, name)

        def call(self: Any) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            original(self)
            spent[name][0] += time.perf_counter() - wall
            spent[name][1] += time.process_time() - cpu

        return call

    for cls, name in ((Loop, "_write_checkpoint"), (BestParameters, "take")):
        setattr(cls, name, timed(cls, name))
    end = time.perf_counter() + SECONDS
    Unwatched.interrupted = lambda self: time.perf_counter() > end  # type: ignore[method-assign]
    run, _, _ = ours([128, 128], 64, 10**6)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        run()
    except Interrupted as error:
        print(str(error))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    total = [sum(times[index] for times in spent.values()) for index in (0, 1)]
    for name, (name_wall, name_cpu) in spent.items():
        print(f"{name:<20} {name_wall:7.3f} s wall {name_cpu:7.3f} s CPU")
    print(f"training             {wall:7.3f} s wall {cpu:7.3f} s CPU")
    print(f"checkpointing: {total[0] / wall:.2%} of wall, {total[1] / cpu:.2%} of CPU time; asked for: ≤ 2 %")


if __name__ == "__main__":
    main()
