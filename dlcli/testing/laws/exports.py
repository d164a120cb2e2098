"""The law of export: what builds modules builds modules that other formats can hold."""

from torch import Tensor, nn

from dlcli import CannotExportError, export_program
from dlcli.testing.law import Case, Law, assert_close
from dlcli.testing.laws.networks import KINDS, Sample, samples


class _Flat(nn.Module):
    """A module as a function of tensors in a row: its inputs, then the tensors among its keywords."""

    def __init__(self, module: nn.Module, sample: Sample) -> None:
        super().__init__()
        self.module = module
        self.places = {key: value for key, value in sample.keywords.items() if value is not None and len(value)}
        self.count = len(sample.inputs)

    def given(self, sample: Sample) -> dict[str, Tensor]:
        """Return a sample's tensors by name, in the order of `forward`."""
        rest: dict[str, Tensor] = {}
        for key in self.places:
            value = sample.keywords[key]
            rest |= {f"{key}_{i}": t for i, t in enumerate(value)} if isinstance(value, tuple) else {key: value}
        return {**{f"input_{i}": t for i, t in enumerate(sample.inputs)}, **rest}

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the module's output."""
        inputs, rest = tensors[: self.count], iter(tensors[self.count :])
        keywords = {
            key: tuple(next(rest) for _ in value) if isinstance(value, tuple) else next(rest)
            for key, value in self.places.items()
        }
        result: Tensor = self.module(*inputs, **keywords)
        return result


def _form(sample: Sample) -> object:
    rows = {key: tuple(value.shape) for key, value in _Flat(nn.Identity(), sample).given(sample).items()}
    return tuple(rows.items()), len(sample.shape)


def exports(case: Case) -> None:
    """`torch.export` records it in evaluation for any number of rows, and the program gives its outputs."""
    # Tasks with rows of one form differ in the width of the output alone.
    forms = {_form(sample): sample for sample in reversed(samples(case))}
    for sample in forms.values():
        module = sample.make(case.component).eval()
        flat = _Flat(module, sample)
        try:
            program = export_program(flat, flat.given(sample), {}).module()
        except CannotExportError as error:
            layer = f" (its layer {error.layer})" if error.layer else ""
            raise AssertionError(f"{case.label} on {sample.label}{layer} cannot be exported: {error}") from error
        for rows in (sample, sample.first()):
            found = program(*flat.given(rows).values())
            count = rows.shape[0]
            message = f"{case.label} on {sample.label}: recorded, it gives other outputs for {count} rows"
            assert_close(found, rows.output(module), message)


LAWS = (Law(exports, KINDS),)
