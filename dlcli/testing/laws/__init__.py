"""Every law, one room for the kinds that share theirs."""

from dlcli.testing.laws import (
    every,
    formats,
    losses,
    metrics,
    networks,
    populations,
    preprocessors,
    regularizers,
    training,
)

LAWS = (
    *every.LAWS,
    *networks.LAWS,
    *preprocessors.LAWS,
    *losses.LAWS,
    *metrics.LAWS,
    *regularizers.LAWS,
    *training.LAWS,
    *populations.LAWS,
    *formats.LAWS,
)
