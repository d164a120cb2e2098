"""Any two switches together: those that change no result change none beside another."""

from dataclasses import replace

import pytest
import torch
from engines import train

from dlcli.contracts.switches import Switches

CHANGING = {
    "accumulate": Switches(accumulate=3),
    "bfloat16": Switches(precision="bfloat16"),
    "float16": Switches(precision="float16"),
    "sampling": Switches(sampling="class_balanced"),
    "all": Switches(accumulate=2, precision="bfloat16", sampling="class_balanced"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_checkpointing_and_determinism_change_no_bit_beside_another(name, member, batches, registry, tmp_path):
    switches = CHANGING[name]
    changes = {
        "training_rows": torch.arange(200),
        "epochs": 2,
        "select": "last",
        "regularizers": (registry.create("regularizer", "clip_gradients", max_norm=0.5),),
        "averager": registry.create("averager", "ema"),
    }
    kinds = {
        "alone": switches,
        "checkpointing": replace(switches, activation_checkpointing=True),
        "both": replace(switches, activation_checkpointing=True, deterministic=True),
    }
    found = {
        kind: train([member(switches=each, **changes)], batches, tmp_path / kind, "loop")[0]
        for kind, each in kinds.items()
    }
    plain = train([member(**changes)], batches, tmp_path / "plain", "loop")[0]
    first = found.pop("alone")
    assert any(not torch.equal(plain.state[key], tensor) for key, tensor in first.state.items())
    for other in found.values():
        for key, tensor in first.state.items():
            assert torch.equal(other.state[key], tensor), key


def test_accumulation_in_lower_precision_is_one_batch_to_its_rounding(member, batches, registry, tmp_path):
    changes = {
        "architecture": registry.create("architecture", "mlp", hidden=[16], norm="none"),
        "optimizer": registry.create("optimizer", "sgd", lr=0.05),
        "select": "last",
        "epochs": 2,
    }
    sizes = {"many": (16, 4), "one": (64, 1)}
    many, one = (
        train(
            [member(batch_size=size, switches=Switches(accumulate=count, precision="float16"), **changes)],
            batches,
            tmp_path / name,
            "loop",
        )[0]
        for name, (size, count) in sizes.items()
    )
    for key, tensor in one.state.items():
        torch.testing.assert_close(many.state[key], tensor, rtol=1e-2, atol=2e-3)
