"""The page about a dataset: whole, safe, and with nothing to fetch."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from dlcli.data.describe import describe
from dlcli.errors import StorageError
from dlcli.report.dataset_page import page, write_page

EVIL = '<script>alert("&")</script>'


class Tags(HTMLParser):
    """Collects tags, texts and addresses, and notes those that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.texts: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    path = tmp_path / "d.h5"
    with h5py.File(path, "w") as file:
        file.attrs[EVIL] = EVIL
        file["train/x"] = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype="u1")
        file["train/w"] = np.random.default_rng(0).normal(size=(40, 3))
        file["train/y"] = np.arange(40) % 2
        file[f"train/{EVIL.replace('/', '|')}"] = np.array([b"a"] * 40)
        file["train/x"].attrs["role"], file["train/y"].attrs["role"] = "input", "target"
        file["train/w"].attrs["role"], file["train/w"].attrs["names"] = "condition", [EVIL, "b", "c"]
        file["train/y"].attrs["classes"] = [EVIL, "no"]
    return path


def test_a_page_is_whole_and_what_a_file_says_stays_text(evil: Path) -> None:
    text = page(describe(evil, pictures=4), columns=2)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen & {"script", "link", "iframe", "object", "form"} == set()
    assert len(tags.addresses) == 4
    assert all(address.startswith("data:image/png;base64,") for address in tags.addresses)
    assert not re.search(r"url\(|@import", text)
    assert set(re.findall(r'https?://[^"]+', text)) == {"http://www.w3.org/2000/svg"}
    assert EVIL in tags.texts
    assert "w: 1 more column" in tags.texts
    assert "dlcli data repack" in text
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_lines_of_ours_are_lines_and_those_of_a_file_are_escaped(evil: Path) -> None:
    with h5py.File(evil, "a") as file:
        file.attrs["source"] = "two\nlines"
    text = page(dataclasses.replace(describe(evil), notes=("two:\n  x\ty",)), columns=2)
    assert r"<dd>two\nlines</dd>" in text
    assert r"<li>two:<br>  x\ty</li>" in text


def test_bars_are_as_long_as_classes_are_large(evil: Path) -> None:
    with h5py.File(evil, "a") as file:
        file["train/y"][...] = np.arange(40) >= 30
    drawing = next(part for part in page(describe(evil), 0).split("<svg")[::-1] if "rows of each class" in part)
    widths = [float(width) for width in re.findall(r'width="([\d.]+)"[^>]*><title>train', drawing)]
    assert widths == [360, 120]


def test_a_page_that_cannot_be_written(evil: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        write_page(describe(evil), tmp_path / "no folder" / "page.html", 1)
