"""Which networks are alike, and which began alike."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from dlcli.contracts.member import Member


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of tensors by name."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def structure_of(member: Member) -> str:
    """Return what networks must share for their weights to be averaged: how they are built, and what they are fed."""
    states = {
        f"{name}.{place}.{key}": tensor
        for name, chain in member.preprocessing.items()
        for place, fitted in enumerate(chain)
        for key, tensor in fitted.state.items()
    }
    columns = {name: tensor.tolist() for name, tensor in member.input_columns.items()}
    parts = [member.architecture.stack_key(), repr(member.io), columns, digest(states)]
    return json.dumps(parts)
