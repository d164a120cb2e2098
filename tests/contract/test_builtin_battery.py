from dlcli.testing import Battery


class TestBuiltins(Battery):
    distribution = "dlcli"
