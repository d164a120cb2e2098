from typing import NamedTuple

import torch
from torch import Tensor

from dlcli.training.tensor_tables import flatten, unflatten


class Pair(NamedTuple):
    first: Tensor | None
    second: dict[str, Tensor]


def test_tensors_come_out_in_order_and_go_back_into_place():
    a, b, c = (torch.full((1,), float(i)) for i in range(3))
    table = (Pair(None, {"a": a, "none": {}}), [b, (c,)], None)
    assert [id(tensor) for tensor in flatten(table)] == [id(a), id(b), id(c)]
    back = unflatten(table, [tensor + 10 for tensor in flatten(table)])
    assert isinstance(back[0], Pair)
    assert back[0].first is None
    assert back[0].second["none"] == {}
    assert back[2] is None
    assert [float(tensor) for tensor in flatten(back)] == [10.0, 11.0, 12.0]
