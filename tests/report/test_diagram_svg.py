import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from dlcli.experiment.diagram.graph import Block, NetworkGraph
from dlcli.report.diagram_layout import layout_of
from dlcli.report.diagram_place import PAGES, Placement
from dlcli.report.diagram_rows import rows_of
from dlcli.report.diagram_style import WIDTH
from dlcli.report.diagram_svg import diagram_svg
from dlcli.report.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"


def chain(*blocks):
    """A graph of blocks: kind and label, or kind, label and sources; each reads the one before it otherwise."""
    made = []
    for place, (kind, label, *sources) in enumerate(blocks):
        before = (place - 1,) if place else ()
        given = tuple(sources[0]) if sources else (() if kind in ("input", "condition") else before)
        learnt = 72 if kind in ("affine", "convolution") else 0
        made.append(Block(f"layers.{place}", label, kind, (8,), learnt, given))
    return made


def residual(times, start="x"):
    """An input, equal residual blocks, an output."""
    blocks = [Block("x", "features", "input", (8,), 0, ())]
    for number in range(times):
        before = len(blocks) - 1
        for kind, label in (("affine", "Linear 8 → 8"), ("activation", "ReLU"), ("affine", "Linear 8 → 8")):
            learnt = 72 if kind == "affine" else 0
            blocks.append(Block(f"blocks.{number}.{len(blocks)}", label, kind, (8,), learnt, (len(blocks) - 1,)))
        blocks.append(Block("", "+", "merge", (8,), 0, (before, len(blocks) - 1)))
    blocks.append(Block("", "output", "output", (8,), 0, (len(blocks) - 1,)))
    return blocks


def test_what_follows_a_layer_stands_beside_it():
    blocks = chain(
        ("input", "features"), ("affine", "Linear"), ("normalization", "LayerNorm"), ("activation", "ReLU"),
        ("dropout", "dropout 0.1"), ("affine", "Linear"), ("output", "output"),
    )  # fmt: skip
    rows, repeats = rows_of(blocks)
    assert [row.block.label for row in rows] == ["features", "Linear", "Linear", "output"]
    assert [block.label for block in rows[1].beside] == ["LayerNorm", "ReLU", "dropout 0.1"]
    assert [row.sources for row in rows] == [(), (0,), (1,), (2,)]
    assert rows[1].parameters == 72
    assert not repeats


def test_what_two_read_stands_alone():
    blocks = chain(
        ("input", "features"), ("affine", "Linear"), ("activation", "ReLU"), ("affine", "Linear", (2,)),
        ("merge", "+", (1, 3)), ("normalization", "LayerNorm"), ("output", "output"),
    )  # fmt: skip
    rows, _ = rows_of(blocks)
    assert [row.block.label for row in rows] == ["features", "Linear", "ReLU", "Linear", "+", "LayerNorm", "output"]


@pytest.mark.parametrize("times", [2, 3, 16])
def test_equal_parts_stand_once(times):
    rows, repeats = rows_of(residual(times))
    assert [row.block.label for row in rows] == ["features", "Linear 8 → 8", "Linear 8 → 8", "+", "output"]
    assert [row.sources for row in rows] == [(), (0,), (1,), (0, 2), (3,)]
    (repeat,) = repeats
    assert (repeat.first, repeat.last, repeat.times) == (1, 3, times)
    assert repeat.name == f"blocks.0 … blocks.{times - 1}"


def test_parts_that_differ_in_shape_or_are_read_from_outside_stand_each():
    blocks = residual(3)
    wider = [
        Block(b.name, b.label, b.kind, (8 + (place > 4),), b.parameters, b.sources) for place, b in enumerate(blocks)
    ]
    _, repeats = rows_of(wider)
    assert [(repeat.times, repeat.first) for repeat in repeats] == [(2, 4)]
    # The last sum also reads what is inside the first part.
    last = blocks[12]
    blocks[12] = Block(last.name, last.label, last.kind, last.shape, 0, (*last.sources, 3))
    rows, repeats = rows_of(blocks)
    assert len(rows) == 11
    assert not repeats


def test_a_rate_that_rises_from_part_to_part_is_a_range():
    blocks = chain(
        ("input", "features"), ("affine", "Linear"), ("dropout", "stochastic depth 0.1"), ("affine", "Linear"),
        ("dropout", "stochastic depth 0.2"), ("affine", "Linear"), ("dropout", "stochastic depth 0.3"),
        ("output", "output"),
    )  # fmt: skip
    rows, repeats = rows_of(blocks)
    assert [repeat.times for repeat in repeats] == [3]
    assert rows[1].beside[0].label == "stochastic depth 0.1–0.3"


@pytest.fixture(
    params=["plain", "residual", "projected", "conditions", "branches", "long", "wide"],
)
def blocks(request):
    """Graphs of every shape that a diagram has to hold."""
    many = [("affine", f"Linear {number}") for number in range(60)]
    graphs = {
        "plain": lambda: chain(("input", "features"), ("affine", "Linear"), ("output", "output")),
        "residual": lambda: residual(2),
        "projected": lambda: chain(
            ("input", "image"), ("convolution", "Conv2d 3×3"), ("convolution", "Conv2d 1×1", (0,)),
            ("merge", "+", (1, 2)), ("activation", "ReLU"), ("convolution", "Conv2d"), ("merge", "+", (4, 5)),
            ("output", "output"),
        ),
        "conditions": lambda: chain(
            ("input", "features"), ("input", "features"), ("condition", "features"), ("condition", "features"),
            ("merge", "concatenate", (0, 1)), ("affine", "Linear"), ("affine", "scale", (2,)), ("merge", "×", (5, 6)),
            ("affine", "shift", (3,)), ("merge", "+", (7, 8)), ("affine", "Linear"), ("affine", "scale", (2,)),
            ("merge", "×", (10, 11)), ("affine", "shift", (2,)), ("merge", "+", (12, 13)), ("output", "output"),
        ),
        "branches": lambda: chain(
            ("input", "image"), ("convolution", "a", (0,)), ("convolution", "b", (0,)), ("convolution", "c", (0,)),
            ("convolution", "d", (3,)), ("convolution", "e", (4,)), ("pooling", "f", (0,)), ("affine", "g", (6,)),
            ("merge", "concatenate", (1, 2, 5, 7)), ("merge", "+", (8, 0, 2)), ("output", "output"),
        ),
        "long": lambda: chain(("input", "features"), *many, ("merge", "+", (60, 30)), ("output", "output")),
        "wide": lambda: chain(
            ("input", "features"), *(("affine", f"Linear {n}", (0,)) for n in range(5)),
            ("merge", "concatenate", (1, 2, 3, 4, 5)), ("output", "output"),
        ),
    }  # fmt: skip
    return graphs[request.param]()


def placed(blocks):
    rows, repeats = rows_of(blocks)
    layout = layout_of(rows, repeats)
    return rows, layout, Placement(rows, repeats, layout, 92.0)


def test_no_two_rows_meet_and_all_are_in_the_picture(blocks):
    rows, _, placement = placed(blocks)
    for one, other in combinations(placement.places, 2):
        apart = one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
        assert apart
    right, bottom = placement.size
    assert all(place.right <= right and place.bottom <= bottom for place in placement.places)
    assert len(placement.places) == len(rows)


def test_no_line_goes_through_a_row(blocks):
    _, layout, placement = placed(blocks)
    for line in layout.lines:
        path = placement.path(line)
        for (x1, y1), (x2, y2) in zip(path, path[1:], strict=False):
            assert x1 == x2 or y1 == y2
            for place in placement.places:
                within = max(x1, x2) > place.left + 0.5 and min(x1, x2) < place.right - 0.5
                crosses = within and max(y1, y2) > place.top + 0.5 and min(y1, y2) < place.bottom - 0.5
                assert not crosses, (line, place)


def test_lines_of_different_sources_do_not_run_on_one_another(blocks):
    _, layout, placement = placed(blocks)
    parts = []
    for line in layout.lines:
        path = placement.path(line)
        parts += [(line.source, *sorted(pair)) for pair in zip(path, path[1:], strict=False) if pair[0] != pair[1]]
    for (source, a1, a2), (other, b1, b2) in combinations(parts, 2):
        if source == other:
            continue
        for along, across in ((0, 1), (1, 0)):
            if a1[across] == a2[across] == b1[across] == b2[across]:
                assert min(a2[along], b2[along]) - max(a1[along], b1[along]) <= 0


def test_every_line_ends_at_its_row(blocks):
    rows, layout, placement = placed(blocks)
    assert len(layout.lines) == sum(len(row.sources) for row in rows)
    for line in layout.lines:
        x, y = placement.path(line)[-1]
        target = placement.places[line.target]
        assert (x == target.middle and y == target.top) or (x == target.right and target.top < y < target.bottom)


def test_a_long_network_is_cut_into_pieces_that_print_larger():
    blocks = chain(("input", "features"), *(("affine", f"Linear {n}") for n in range(60)), ("output", "output"))
    _, _, placement = placed(blocks)
    right, bottom = placement.size
    whole = 62 * 64.0
    assert len({place.left for place in placement.places}) > 1
    assert max(min(w / right, h / bottom) for w, h in PAGES) > 1.5 * max(min(w / 426, h / whole) for w, h in PAGES)


def picture(blocks, title="digits: mlp"):
    return diagram_svg(NetworkGraph(title, tuple(blocks), 1234))


def test_the_picture_is_the_same_each_time_and_well_formed(blocks):
    assert picture(blocks) == picture(blocks)
    tree = ElementTree.fromstring(picture(blocks))
    texts = [element.text or (element[0].tail if len(element) else "") for element in tree.iter(f"{SVG}text")]
    assert "1,234 parameters; shapes of one row" in texts
    assert len(list(tree.iter(f"{SVG}polygon"))) == len(placed(blocks)[1].lines)


def test_names_that_are_too_long_keep_their_end_and_are_whole_where_a_pointer_rests():
    name = ".".join(["a_very_long_name"] * 8) + ".scale"
    blocks = [*chain(("input", "features"), ("affine", "Linear")), Block("", "output", "output", (8,), 0, (1,))]
    blocks[1] = Block(name, "Linear 12345678 → 12345678, and more than fits", "affine", (8, 8, 8), 10**9, (0,))
    drawn = picture(blocks)
    assert f"<title>{name}</title>…" in drawn
    assert re.search(r"…[a-z_.]*name\.scale</text>", drawn)
    for text in ElementTree.fromstring(drawn).iter(f"{SVG}text"):
        shown = (text[0].tail if len(text) else text.text) or ""
        assert text_width(shown, float(text.get("font-size"))) <= WIDTH


def test_the_legend_tells_the_kinds_that_are_there():
    drawn = picture(chain(("input", "image"), ("convolution", "Conv2d"), ("activation", "ReLU"), ("output", "output")))
    assert all(f">{word}</text>" in drawn for word in ("convolution", "activation"))
    assert not any(f">{word}</text>" in drawn for word in ("attention", "recurrent", "dropout", "affine map"))


def test_hostile_names_are_text():
    drawn = picture(chain(("input", "<script>"), ("output", "output")), title="<b>&\x07")
    assert "<script>" not in drawn
    assert "&lt;b&gt;&amp;\\x07" in drawn
