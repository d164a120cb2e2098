"""The program: what is in its archive, and that a hostile one is refused before torch sees it."""

import io
import json
import pickle
import zipfile

import pytest
import torch

from dlcli.builtin.exporters.pt2 import PT2
from dlcli.errors import DataError

GRAPH = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"


@pytest.fixture
def archive(exportable, tmp_path):
    path = tmp_path / "model.pt2"
    PT2().write(exportable, path)
    return path


def rewrite(path, change, compression=zipfile.ZIP_STORED):
    """Write an archive anew; `change` gets its files by name and may change them."""
    with zipfile.ZipFile(path) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        root = archive.namelist()[0].partition("/")[0]
    change(files)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(f"{root}/{name}", content)


def in_json(name, edit):
    """Return a change of one of the archive's JSON files."""

    def change(files):
        table = json.loads(files[name])
        edit(table)
        files[name] = json.dumps(table)

    return change


def nodes(table):
    return table["graph_module"]["graph"]["nodes"]


class Bomb:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return open, ("bomb", "w")


def pickled_weight(files):
    table = json.loads(files[WEIGHTS])
    next(iter(table["config"].values()))["use_pickle"] = True
    files[WEIGHTS] = json.dumps(table)
    files["data/weights/weight_0"] = pickle.dumps(Bomb())


def larger(table):
    next(iter(table["config"].values()))["tensor_meta"]["sizes"][0]["as_int"] = 10**12


def strided(table):
    next(iter(table["config"].values()))["tensor_meta"]["strides"][0]["as_int"] = 10**12


def symbol(text):
    """Return an edit that makes every size of the graph an expression."""

    def edit(table):
        for value in table["graph_module"]["graph"]["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = text

    return edit


HOSTILE = {
    "a pickled weight": (pickled_weight, "is pickled; nothing is unpickled"),
    "pickled samples of other code": (lambda files: files.update({"data/sample_inputs/model.pt": b"junk"}), None),
    "an object": (lambda files: files.update({"data/constants/custom_obj_0": b"x"}), "which is no part of a program"),
    "machine code": (
        lambda files: files.update({"data/aotinductor/model/a.so": b"x"}),
        "which is no part of a program",
    ),
    "a path out": (lambda files: files.update({"../../evil": b"x"}), "which is no part of a program"),
    "a tensor larger than its file": (in_json(WEIGHTS, larger), "claims the shape .* more than its"),
    "a stride out of its file": (in_json(WEIGHTS, strided), "claims the shape .* more than its"),
    "code as a size": (
        in_json(GRAPH, symbol("__import__('os').system('touch bomb')")),
        "which is more than arithmetic",
    ),
    "an expression that explodes": (in_json(GRAPH, symbol("9**9**9" * 200)), "which is more than arithmetic"),
    "a function of a module": (
        in_json(GRAPH, lambda t: nodes(t)[0].update(target="torch.hub.load")),
        "no operation of torch",
    ),
    "an attribute getter": (
        in_json(GRAPH, lambda t: nodes(t)[0].update(target="_operator.methodcaller")),
        "no operation",
    ),
    "a file writer": (
        in_json(GRAPH, lambda t: nodes(t)[0].update(target="torch.ops.aten.from_file.default")),
        "no operation",
    ),
    "metadata that name code": (
        in_json(GRAPH, lambda t: nodes(t)[0].update(metadata={"a": "os.system"})),
        "may name code",
    ),
    "no graph": (lambda files: files.pop(GRAPH), "its tables have another form"),
    "a graph that is none": (in_json(GRAPH, lambda t: t.clear()), "cannot read the program"),
    "nested without end": (lambda files: files.update({GRAPH: "[" * 100_000}), "refused|cannot read"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused(archive, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    change, match = HOSTILE[what]
    rewrite(archive, change)
    if match is None:  # what is pickled there is not looked at
        PT2().open(archive)
    else:
        with pytest.raises(DataError, match=match):
            PT2().open(archive)
    assert not (tmp_path / "bomb").exists()


def test_an_archive_that_is_compressed_is_refused(archive):
    rewrite(archive, lambda files: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="is compressed, which a program is not"):
        PT2().open(archive)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_refused(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="cannot read the program|damaged or hostile|not written by dlcli"):
        PT2().open(archive)


def test_a_flipped_byte_is_refused_or_harmless(archive):
    content = archive.read_bytes()
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for place in torch.randint(len(content), (60,), generator=generator).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        archive.write_bytes(flipped)
        try:
            PT2().open(archive).run({"x": torch.zeros(1, 5)})
        except DataError:
            refused += 1
    assert refused > 10


def test_a_program_of_somebody_else_is_told_apart(archive):
    rewrite(archive, lambda files: files.pop("extra/dlcli.json"))
    with pytest.raises(DataError, match="was not written by dlcli export: it does not say what it takes"):
        PT2().open(archive)


def test_a_tensor_that_a_program_would_make_is_refused_where_it_is_huge(archive):
    def huge(table):
        node = next(node for node in nodes(table) if "softmax" in node["target"])
        node["inputs"].append({"name": "size", "arg": {"as_ints": [10**6, 10**6]}, "kind": 1})

    rewrite(archive, in_json(GRAPH, huge))
    with pytest.raises(DataError, match=r"a tensor of the shape \[1000000, 1000000\], far larger than any answer"):
        PT2().open(archive)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot read the program .*none.pt2: .*No such file"):
        PT2().open(tmp_path / "none.pt2")


def test_it_carries_metadata_and_runs_rows_in_any_memory_layout(archive, exportable):
    found = PT2().open(archive)
    assert found.metadata == exportable.metadata
    x = torch.randn(5, 7).T[:, :5]
    expected = exportable.module(x)[1]
    torch.testing.assert_close(found.run({"x": x})["probabilities"], expected)


def test_rows_that_do_not_fit_are_told(archive):
    with pytest.raises(DataError, match="the program cannot run on these rows"):
        PT2().open(archive).run({"x": torch.zeros(1, 6)})


def test_the_archive_is_little_more_than_the_weights(archive):
    assert archive.stat().st_size < 20_000
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as file:
        graph = json.loads(file.read(next(name for name in file.namelist() if name.endswith(GRAPH))))
    assert all(not node["metadata"] for node in nodes(graph))
