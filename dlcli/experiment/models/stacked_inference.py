"""A combination's output from members that are computed together, at a part of what one after the other costs."""

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dlcli.experiment.models.module_watch import ModuleWatch, values_of
from dlcli.experiment.models.stacked_members import Call, Group, GroupError, StackedMembers, groups_of
from dlcli.training.capture import capture_anew
from dlcli.training.narrow_products import transpose_narrow_products
from dlcli.training.standing import Standing
from dlcli.training.tensor_tables import flatten

if TYPE_CHECKING:
    from dlcli.experiment.models.combination import CombinedModel

TRIED = 16
"""Shapes of arguments that are tried; further ones are computed member by member: ever new ones cost nothing."""
REMEMBERED = 256
"""Shapes whose first appearance is remembered."""
GAIN = 0.9
"""Share of the plain computation's time that computing together may take, to be worth it."""
TIMINGS, SECONDS = 3, 0.1
"""How often either is timed, and after how long it is timed no more."""


class StackedInference:
    """Computes a combination with stacked copies of its members' tensors, where that is quicker.

    At the second call with arguments of the same shapes the computation is captured as a flat list of operations, the
    members of one structure together, and replayed from then on if it gives the same in less time. The copies are made
    anew when a member has changed (`ModuleWatch`) and has then stayed as it is for a call. Gradients, training mode,
    hooks, tracing and transformations have the plain computation.

    Attributes:
        failed: Members of one structure that cannot be computed together, and why.
    """

    def __init__(self) -> None:
        self.failed: dict[Group, str] = {}
        self._trying = threading.Lock()
        self._watch: ModuleWatch | None = None
        self._values: list[int] = []
        self._groups: list[Group] = []
        self._stacked: StackedMembers | None = None
        self._pattern: object = None
        self._ways: dict[object, _Way] = {}

    def __reduce__(self) -> tuple[type["StackedInference"], tuple[()]]:
        """Leave everything out of copies of a model, in memory or in a file."""
        return StackedInference, ()

    @property
    def captures(self) -> int:
        """How many shapes are computed together."""
        return sum(way.replay is not None for way in self._ways.values())

    def __call__(self, model: "CombinedModel", call: Call) -> Tensor | None:
        """Compute the combination from stacked members, if that can be done now and is quicker.

        Args:
            model: The combination; the same at every call.
            call: Its arguments.

        Returns:
            Its output; None where it is to be computed member by member.
        """
        if model.training or torch.is_grad_enabled():
            return None
        given = flatten(call)
        if not _is_plain(given):
            return None
        watch = self._watch
        if watch is None or not watch.same_objects():
            watch = self._watch = ModuleWatch(model)
            self._values, self._groups, self._stacked, self._ways = [], [], None, {}
        if not watch.countable or watch.disturbed() or not watch.watches(model):
            return None
        shapes = _shapes(call, given)
        way = self._ways.get(shapes)
        replay = None if way is None else way.replay
        if replay is not None and values_of(replay.watched) == replay.values:
            return replay.run(*given, *replay.standing)[0]
        values = values_of(watch.tensors)
        if values != self._values:
            self._values, self._groups, self._stacked = values, self._found(model), None
        elif way is not None and self._groups and not way.slower:
            return self._try(model, call, way)
        if way is None and len(self._ways) < REMEMBERED:
            self._ways[shapes] = _Way()
        return None

    def _found(self, model: "CombinedModel") -> list[Group]:
        unfed = [identity for identity in model.wiring.everybody if identity not in model.wiring.fed]
        groups = groups_of({identity: model.part(identity) for identity in unfed})
        return [group for group in groups if group not in self.failed]

    def _try(self, model: "CombinedModel", call: Call, way: "_Way") -> Tensor | None:
        """Compute one by one and together, and keep the way of computing together if it is better."""
        if not self._trying.acquire(blocking=False):
            return None  # another thread is at it
        try:
            plain = _Timed(lambda: model.combine_outputs(model.outputs(*call[0], **call[1])))
            try:
                self._keep_if_better(model, call, way, plain)
            except GroupError as error:
                self._fail([error.group], error)
            except Exception as error:  # whatever foreign code raises: one by one it did what it should
                self._fail(self._groups, error)
            return plain.result
        finally:
            self._trying.release()

    def _keep_if_better(self, model: "CombinedModel", call: Call, way: "_Way", plain: "_Timed") -> None:
        stacked = self._stacked or StackedMembers(model, tuple(self._groups))
        if stacked.pattern != self._pattern:
            self._pattern = stacked.pattern
            for other in self._ways.values():
                other.replay, other.slower = None, False
        if way.replay is not None:
            way.replay = _replay(stacked, way.replay.run, way.replay.prepared)
        elif sum(other.replay is not None or other.slower for other in self._ways.values()) >= TRIED:
            way.slower = True
        else:
            found = _replay(stacked, *_captured(stacked, call))
            together = _Timed(lambda: found.run(*flatten(call), *found.standing)[0])
            if not torch.allclose(together.result, plain.result, rtol=1e-4, atol=1e-5, equal_nan=True):
                raise RuntimeError("their outputs together are not those that they have one by one")
            way.slower = together.seconds() > GAIN * plain.seconds()
            way.replay = None if way.slower else found
        self._stacked = stacked if self.captures else None

    def _fail(self, groups: Sequence[Group], error: Exception) -> None:
        self.failed |= {group: str(error) for group in groups}
        self._groups = [group for group in self._groups if group not in self.failed]
        self._stacked = self._pattern = None


class _Replay(NamedTuple):
    """A captured computation; replaced as a whole, since threads may share it.

    Args:
        run: Computes, from the arguments and `standing`.
        prepared: Makes `standing` from stacked tensors.
        standing: What else it computes with.
        watched: The members' tensors that this was made of.
        values: What `values_of` them was then.
    """

    run: Callable[..., list[Tensor]]
    prepared: Standing
    standing: list[Tensor]
    watched: list[Tensor]
    values: list[int]


def _replay(stacked: StackedMembers, run: Callable[..., list[Tensor]], prepared: Standing) -> _Replay:
    watched = [t for own, used in zip(stacked.sources, prepared.used, strict=True) if used for t in own]
    return _Replay(run, prepared, prepared.compute(stacked.tensors), watched, values_of(watched))


@dataclass
class _Way:
    """How a combination is computed from arguments of given shapes.

    Args:
        slower: Whether it is known that computing together is no quicker.
        replay: How to compute together; None where that was not tried yet, or is no quicker.
    """

    slower: bool = False
    replay: _Replay | None = None


class _Timed:
    """A computation, its result, and how long it takes."""

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute = compute
        self.result = compute()

    def seconds(self) -> float:
        """Return the shortest of a few times."""
        taken: list[float] = []
        while len(taken) < TIMINGS and sum(taken) < SECONDS:
            self._wait()
            start = time.perf_counter()
            self._compute()
            self._wait()
            taken.append(time.perf_counter() - start)
        return min(taken)

    def _wait(self) -> None:
        if self.result.device.type != "cpu":
            torch.accelerator.synchronize(self.result.device)


def _captured(stacked: StackedMembers, call: Call) -> tuple[Callable[..., list[Tensor]], Standing]:
    with torch.inference_mode(False), warnings.catch_warnings():
        # Operations that vmap takes apart again are right, and what they cost is measured.
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        like = [tensor.clone() for tensor in flatten(call)]
        standing = Standing(len(like))
        passes = (transpose_narrow_products, standing)
        return capture_anew(stacked.function(call), [*like, *stacked.tensors], passes).run, standing


def _is_plain(given: Sequence[Tensor]) -> bool:
    """Return whether nothing but an inference is going on: no tracing, no transformation, no mixed precision."""
    return (
        all(type(tensor) is Tensor for tensor in given)
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._functorch.maybe_current_level() is None
        and not any(torch.is_autocast_enabled(tensor.device.type) for tensor in given)
    )


def _shapes(call: Call, given: Sequence[Tensor]) -> object:
    """Return all of a call's arguments that decides the operations."""
    inputs, extra = call
    named = tuple((name, len(flatten((value,)))) for name, value in extra.items())
    return len(inputs), named, *((t.shape, t.stride(), t.dtype, t.device) for t in given)
