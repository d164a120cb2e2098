import json
import os

import pytest

from dlcli import untrusted
from dlcli.untrusted import check_inside, is_folder_name, read_json, reason, regular_size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ('{"a": NaN}', "NaN is no number in JSON"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": 18446744073709551616}', "the number 18446744073709551616 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ('{"a": 1', r"no JSON from line 1, column 8 on \(expecting"),
        ("hello", r"no JSON from line 1, column 1 on \(expecting value"),
        (" \n", "it is empty"),
        (b'{"a": "\xff"}', "no text in UTF-8: byte 7 is 0xff"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, message):
    file = tmp_path / "x.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_json(file)


def test_what_is_json_is_read_as_ever(tmp_path):
    text = '{"a": [1, -2.5, 1e-5, 18446744073709551615, true, null, "\\u00e9\\ud83d\\ude00"], "b": {}}'
    (tmp_path / "x.json").write_text(text)
    assert read_json(tmp_path / "x.json") == json.loads(text)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(untrusted.LARGEST + 1)
    with pytest.raises(ValueError, match=f"more than the {32 * 2**20} that such a file may have"):
        read_json(tmp_path / "x.json")


def test_pipes_folders_and_links_out_of_the_folder_are_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "run/own.json").write_text("{}")
    (tmp_path / "run/out.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "run/in.json").symlink_to("own.json")
    os.mkfifo(tmp_path / "run/pipe.json")
    with pytest.raises(ValueError, match="no regular file"):
        read_json(tmp_path / "run/pipe.json")
    with pytest.raises(OSError, match="a folder"):
        regular_size(tmp_path / "run")
    with pytest.raises(ValueError, match="a link that leaves its folder; put the file itself there"):
        read_json(tmp_path / "run/out.json")
    assert read_json(tmp_path / "run/in.json") == {}


def test_the_links_of_a_model_hubs_cache_are_followed(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/0a1b").write_text("{}")
    (tmp_path / "snapshots/main").mkdir(parents=True)
    (tmp_path / "snapshots/main/x.json").symlink_to("../../blobs/0a1b")
    assert read_json(tmp_path / "snapshots/main/x.json") == {}


def test_a_path_that_leads_out_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/members").symlink_to(tmp_path)
    check_inside(tmp_path / "run/model", tmp_path / "run")
    with pytest.raises(ValueError, match="members/bag-0 leads out of"):
        check_inside(tmp_path / "run/members/bag-0", tmp_path / "run")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "C:x", "x" * 201, 3, None])
def test_what_cannot_name_a_folder(name):
    assert not is_folder_name(name)


def test_what_can_name_a_folder():
    assert all(is_folder_name(name) for name in ("bag-0", "fold-3", "digits-mlp-0001-seed-2", "größer"))


def test_a_reason_is_one_short_printable_line():
    assert reason("a\n b\x1b[31m\u202e") == r"a b\x1b[31m\u202e"
    assert len(reason("x" * 10**6)) == 301
