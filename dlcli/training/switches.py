"""Which switches a device, an engine and a network can follow, told before anything is trained."""

from collections.abc import Iterator

import torch
from torch import nn

from dlcli.contracts.component import implements
from dlcli.contracts.member import Member
from dlcli.contracts.switches import Switches
from dlcli.errors import UsageError
from dlcli.training.blocks import find_blocks
from dlcli.training.compilation import check_compiler


def check_switches(switches: Switches, device: torch.device) -> None:
    """Refuse switches that a device cannot follow.

    Args:
        switches: What is asked for.
        device: Where to train.

    Raises:
        UsageError: It cannot; says what to do.
    """
    if switches.precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise UsageError(
            f"train.precision = 'bfloat16', but {torch.cuda.get_device_name(device)} does not compute in it; allowed "
            "there are float32 and float16"
        )
    if switches.compile:
        check_compiler(device)


def switch_notes(switches: Switches, device: torch.device) -> Iterator[str]:
    """Yield what the user should know of switches on a device."""
    if device.type == "cpu" and not _has_units(switches):
        yield (
            f"this processor has no units for {switches.precision}: float32 is many times as quick here "
            "(train.precision)"
        )


def _has_units(switches: Switches) -> bool:
    cpu = torch.cpu
    if switches.precision == "bfloat16":
        return cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    if switches.precision == "float16":
        return cpu._is_amx_fp16_supported()
    return True


def unfit_switch(network: nn.Module, member: Member) -> tuple[str, str] | None:
    """Return the key of a switch that a member's network or regularizers cannot follow, and why; None for none.

    Args:
        network: The member's.
        member: Whose.

    Returns:
        Key and message.
    """
    switches = member.switches
    if switches.activation_checkpointing and not find_blocks(network):
        return "train.activation_checkpointing", (
            f"true, but {member.architecture.name} has no blocks whose inputs could be kept alone: blocks are modules "
            "of several layers in an nn.Sequential or nn.ModuleList; set it to false"
        )
    if not switches.compile:
        return None
    for regularizer in member.regularizers:
        changes = implements(regularizer, "parameters")
        if changes or regularizer.activations is not None:
            does = "changes parameters in every forward pass" if changes else "sees outputs of inner layers"
            return "train.compile", (
                f"true, but the regularizer {regularizer.name} {does}, which a compiled network does not let it; set "
                f"train.compile = false, or leave {regularizer.name} out"
            )
    return None
