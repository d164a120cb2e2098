import pytest

from dlcli.data.origin import is_origin, origin_of_run


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, True),
        ({"importer": "csv", "parameters": {}}, True),
        ({"importer": "csv", "parameters": {"name": "npz"}}, False),
        ({"importer": "csv", "parameters": []}, False),
        ({"importer": 1, "parameters": {}}, False),
        ({"parameters": {}}, False),
        (None, False),
        ([], False),
    ],
)
def test_what_is_laid_out_as_an_origin(found, expected):
    assert is_origin(found) is expected
    assert origin_of_run({"data": {"imported": found}}) == (found if expected else {})
