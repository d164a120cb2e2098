"""The network of a recipe as a graph, for `dlcli build --diagram`."""
