"""The kinds of components; apart from the rest, so that listing names costs no pydantic."""

KINDS = (
    "architecture",
    "activation",
    "normalization",
    "initializer",
    "preprocessor",
    "input_layer",
    "loss",
    "metric",
    "regularizer",
    "optimizer",
    "schedule",
    "averager",
    "search",
    "ensemble",
    "importer",
    "exporter",
)
"""Every kind of component, in the order in which lists show them."""
