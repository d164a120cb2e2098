"""Built-in architectures."""

from typing import TYPE_CHECKING

from dlcli import hookimpl

if TYPE_CHECKING:
    from dlcli.registry import Registrar


@hookimpl
def register(registry: "Registrar") -> None:
    """Name the components of this family."""
    registry.add("architecture", "cnn", "dlcli.builtin.architectures.cnn:CNN")
    registry.add("architecture", "gru", "dlcli.builtin.architectures.gru:GRU")
    registry.add("architecture", "input_layers", "dlcli.layers.input_layers:InputLayers")
    registry.add("architecture", "linear", "dlcli.builtin.architectures.linear:Linear")
    registry.add("architecture", "logistic", "dlcli.builtin.architectures.logistic:Logistic")
    registry.add("architecture", "lstm", "dlcli.builtin.architectures.lstm:LSTM")
    registry.add("architecture", "mlp", "dlcli.builtin.architectures.mlp:MLP")
    registry.add("architecture", "resnet", "dlcli.builtin.architectures.resnet:ResNet")
    registry.add("architecture", "rnn", "dlcli.builtin.architectures.rnn:RNN")
    registry.add("architecture", "svm", "dlcli.builtin.architectures.svm:SVM")
    registry.add("architecture", "transformer", "dlcli.builtin.architectures.transformer:Transformer")
