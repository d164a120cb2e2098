"""How long one network takes to train alone, from a few steps of it."""

import time
from dataclasses import replace
from itertools import islice

import torch
from torch import nn

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.training.accumulation import step_batches
from dlcli.training.evaluation import evaluate
from dlcli.training.network import active_dropouts, build_network, build_optimizer, seed_epoch
from dlcli.training.switched_step import make_step
from dlcli.training.threads import suitable_threads

WARM_UP_STEPS, STEPS = 4, 40
SECONDS = 0.3
"""Steps are taken for no longer than that, but one at least."""


def seconds_alone(member: Member, batches: Batches, epochs: int, device: torch.device) -> float:
    """Estimate how long the loop engine takes for one member: its optimizer steps, and its validation rows every epoch.

    Args:
        member: Who; nothing of it is kept.
        batches: The dataset.
        epochs: How many epochs.
        device: Where to compute.

    Returns:
        Seconds, from the mean of up to 40 steps, timed for 0.3 seconds at most.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        network = build_network(member, device)
        optimizer = build_optimizer(member, network)
        # Compiling takes longer than anything that is estimated here.
        switches = replace(member.switches, compile=False)
        step = make_step(replace(member, switches=switches), network, optimizer, device)
        seed_epoch(active_dropouts(network), member, 1, device)
        step.start_epoch(1)
        taken: list[float] = []
        start = last = time.perf_counter()
        with suitable_threads(network, member):
            groups = step_batches(batches.training(member, 1), switches.accumulate)
            for batch in islice(groups, WARM_UP_STEPS + STEPS):
                float(step(batch))
                now = time.perf_counter()
                taken.append(now - last)
                last = now
                if now - start > SECONDS:
                    break
            validating = _validation_seconds(member, network, batches)
    counted = taken[WARM_UP_STEPS:] or taken[-1:]
    return (sum(counted) / len(counted) * switches.steps(batches.steps(member)) + validating) * epochs


def _validation_seconds(member: Member, network: nn.Module, batches: Batches) -> float:
    if member.validation_rows is None:
        return 0.0
    start = time.perf_counter()
    rows = batches.evaluation(member, member.validation_rows)
    evaluate(network, rows, task=member.io.task, loss=member.loss, metrics=member.metrics)
    return time.perf_counter() - start
