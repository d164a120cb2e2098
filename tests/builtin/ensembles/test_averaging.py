import numpy as np
import pytest
import torch
from scripted import ScriptedContext, model
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dlcli.builtin.ensembles.averaging import average, best_first, need_one_structure, note_starts


def networks(count, dtype=torch.float32):
    torch.manual_seed(0)
    made = [nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).to(dtype) for _ in range(count)]
    for steps, network in enumerate(made, start=1):
        for _ in range(steps):
            network(torch.randn(8, 4, dtype=dtype))  # moves the running statistics
    return made


def test_it_is_torchs_average():
    made = networks(5)
    expected = AveragedModel(made[0], use_buffers=True)
    for network in made:
        expected.update_parameters(network)
    averaged = average([network.state_dict() for network in made], like=made[-1].state_dict())
    for name, tensor in expected.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(averaged[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_it_is_computed_in_float64_and_cast_back(dtype):
    torch.manual_seed(0)
    states = [{"weight": (1000 * torch.randn(50)).to(dtype)} for _ in range(7)]
    averaged = average(states, like=states[0])["weight"]
    expected = np.mean([state["weight"].double().numpy() for state in states], axis=0)
    assert averaged.dtype == dtype
    assert torch.equal(averaged, torch.from_numpy(expected).to(dtype))


def test_what_is_no_number_with_a_point_is_one_members():
    made = networks(3)
    states = [network.state_dict() for network in made]
    averaged = average(states, like=states[1])
    assert averaged["1.num_batches_tracked"].dtype == torch.int64
    assert int(averaged["1.num_batches_tracked"]) == 2
    averaged["1.num_batches_tracked"] += 1
    assert int(states[1]["1.num_batches_tracked"]) == 2  # a copy


def test_the_mean_of_one_is_itself():
    state = networks(1)[0].state_dict()
    averaged = average([state], like=state)
    assert all(torch.equal(averaged[name], tensor) for name, tensor in state.items())


def test_networks_of_one_structure_may_be_averaged():
    need_one_structure("soup", [model("a"), model("b")])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            [model("a"), model("b", structure="other")],
            "soup averages weights, but b is built or preprocessed otherwise than a; .*voting",
        ),
        ([model("a"), model("b", structure="")], "soup averages weights, but b is no single network; .*voting"),
        ([model("a", structure="")], "soup averages weights, but a is no single network"),
    ],
)
def test_others_may_not(members, message):
    with pytest.raises(ValueError, match=message):
        need_one_structure("soup", members)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([model("a", start="1"), model("b", start="1")], False),
        ([model("a", specification="run"), model("b", specification="run")], False),
        ([model("a", start="1"), model("b", start="2")], True),
        ([model("a"), model("b")], True),
        ([model("a", start="1"), model("b")], True),
        ([model("a")], False),
    ],
)
def test_networks_without_a_common_start_are_told(members, told):
    context = ScriptedContext()
    note_starts(context, members)
    assert len(context.notes) == told
    assert not told or context.notes[0].startswith("the 2 networks did not start from the same weights: an average")


def test_best_first_keeps_equals_in_order_and_those_without_a_score_last():
    members = [model("a", score=2.0), model("nan", score=float("nan")), model("b", score=1.0), model("c", score=2.0)]
    assert [each.identity for each in best_first(members, "min")] == ["b", "a", "c", "nan"]
    assert [each.identity for each in best_first(members, "max")] == ["a", "c", "b", "nan"]
