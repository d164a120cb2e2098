"""What a training step really takes at its peak, as the allocator tells: on a CPU by torch's profiler."""

import gc

import torch
from torch.profiler import ProfilerActivity, profile

from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.training.network import active_dropouts, build_network, build_optimizer, seed_epoch
from dlcli.training.step import Step


def measured_peak(member: Member, batch: Batch, device: torch.device) -> int:
    """Build a network and take two steps on a batch; return the most bytes that were in use at once, batch included."""
    tensors = [*batch.inputs, batch.target, *batch.conditions]
    data = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _two_steps(member, batch, device)
        return torch.cuda.max_memory_allocated() - before + data
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        _two_steps(member, batch, device)
    taken = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            taken += event.nbytes()
            peak = max(peak, taken)
    return peak + data


def _two_steps(member: Member, batch: Batch, device: torch.device) -> None:
    """The second is as all others are: it finds gradients and the optimizer's state."""
    network = build_network(member, device)
    step = Step(member, network, build_optimizer(member, network), device)
    step.start_epoch(1)
    seed_epoch(active_dropouts(network), member, 1, device)
    for _ in range(2):
        step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
