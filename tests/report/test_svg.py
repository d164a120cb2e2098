from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.report.svg import Drawing, escape, fitted, text_width

SVG = "{http://www.w3.org/2000/svg}"


def read(drawing):
    return ElementTree.fromstring(drawing.render())


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_gives_valid_xml(text):
    drawing = Drawing(100, 50, text)
    drawing.text((1, 2), text, hint=text)
    drawing.circle((1, 2), 3, hint=text)
    read(drawing)


def test_text_comes_through_whole():
    drawing = Drawing(100, 50, "<a> & \"b\" 'c' Größe 学习")
    drawing.text((1, 2), 'x < y & z > "w" λ')
    root = read(drawing)
    assert root.find(f"{SVG}title").text == "<a> & \"b\" 'c' Größe 学习"
    assert root.find(f"{SVG}text").text == 'x < y & z > "w" λ'


def test_what_xml_forbids_is_replaced():
    assert escape("a\x00b\x1b\ud800\nc\t<") == r"a\x00b\x1b\ud800\nc\t&lt;"


def test_the_ground_is_white_and_covers_all():
    ground = read(Drawing(100, 50, "x")).find(f"{SVG}rect")
    assert (ground.get("fill"), ground.get("width"), ground.get("height")) == ("#ffffff", "100%", "100%")


def test_shapes():
    drawing = Drawing(100, 50, "x")
    drawing.line((0, 1), (2.25, 3), "red", dash="1 2")
    drawing.polyline([(0, 0), (1, 1.55)], "blue", width=2)
    drawing.circle((4, 5), 3)
    drawing.cross((10, 10), 2, "red", hint="failed")
    drawing.frame((1, 2), (11, 22), "grey")
    drawing.text((5, 6), "up", turn=-90, anchor="middle", bold=True)
    _, _, line, polyline, circle, cross, frame, text = list(read(drawing))
    assert line.attrib == {
        "x1": "0", "y1": "1", "x2": "2.2", "y2": "3", "stroke": "red", "stroke-width": "1", "stroke-dasharray": "1 2",
    }  # fmt: skip
    assert polyline.get("points") == "0,0 1,1.6"
    assert (circle.get("fill"), circle.find(f"{SVG}title")) == ("none", None)
    assert cross.get("d") == "M8 12L12 8 M8 8L12 12"
    assert cross.find(f"{SVG}title").text == "failed"
    assert (frame.get("width"), frame.get("height"), frame.get("fill")) == ("10", "20", "none")
    assert text.get("transform") == "rotate(-90 5 6)"
    assert text.get("font-weight") == "600"


@given(st.text(max_size=50), st.floats(20, 300))
def test_a_cut_text_fits(text, most):
    assert text_width(fitted(text, most, 12), 12) <= most


def test_the_whole_of_a_cut_text_is_its_hint():
    drawing = Drawing(100, 50, "x")
    drawing.text((0, 0), "a long text", most=40)
    text = read(drawing).find(f"{SVG}text")
    assert "".join(text.itertext()) == "a long texta lo…"
    assert text.find(f"{SVG}title").text == "a long text"


@pytest.mark.parametrize(("text", "width"), [("abc", 18), ("学习", 20), ("", 0)])
def test_wide_letters_count_as_wide(text, width):
    assert text_width(text, 10) == pytest.approx(width)
