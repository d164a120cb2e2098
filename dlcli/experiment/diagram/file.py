"""The file that `dlcli build --diagram` leaves."""

from pathlib import Path

from torch import nn

from dlcli import atomic
from dlcli.contracts.batch import Batch
from dlcli.contracts.member import Member
from dlcli.experiment.diagram.trace import trace
from dlcli.layers.input_layers import told_architecture
from dlcli.report.diagram_svg import diagram_svg


def write_diagram(path: Path, name: str, member: Member, network: nn.Module, batch: Batch) -> None:
    """Draw a network into a file.

    Args:
        path: Where; it appears whole or not at all.
        name: The recipe's name.
        member: Whose network.
        network: The network; it is left as it is.
        batch: Some rows.

    Raises:
        StorageError: The file could not be written.
    """
    graph = trace(member, network, batch, f"{name}: {told_architecture(member.architecture)}")
    atomic.write_text(path, diagram_svg(graph))
