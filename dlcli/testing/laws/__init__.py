"""Every law, one room for the kinds that share theirs."""

from dlcli.testing.laws import (
    activations,
    ensembles,
    every,
    exports,
    formats,
    losses,
    metrics,
    networks,
    preprocessors,
    regularizers,
    searches,
    training,
)

LAWS = (
    *every.LAWS,
    *networks.LAWS,
    *activations.LAWS,
    *exports.LAWS,
    *preprocessors.LAWS,
    *losses.LAWS,
    *metrics.LAWS,
    *regularizers.LAWS,
    *training.LAWS,
    *searches.LAWS,
    *ensembles.LAWS,
    *formats.LAWS,
)
