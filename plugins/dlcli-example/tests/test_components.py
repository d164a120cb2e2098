from dlcli.testing import Battery


class TestComponents(Battery):
    distribution = "dlcli-example"
