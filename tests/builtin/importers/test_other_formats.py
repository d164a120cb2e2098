"""Importers of arrays, IDX, images, sequences, graphs and text, against numpy, Pillow and numbers by hand."""

import gzip
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from dlcli import DataError, UsageError
from dlcli.builtin.importers.graph import Graph
from dlcli.builtin.importers.idx import IDX
from dlcli.builtin.importers.images import Images
from dlcli.builtin.importers.npy import NPY
from dlcli.builtin.importers.sequences import Sequences
from dlcli.builtin.importers.text import Text


def read(importer, path, rows=3):
    fields = importer.fields(path)
    chunks = list(importer.chunks(path, fields, rows))
    return {f.name: f for f in fields}, {f.name: np.concatenate([c[f.name] for c in chunks]) for f in fields}


def idx(values, kind=8):
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape) + values.tobytes()


def test_idx_with_its_labels(tmp_path):
    pixels = np.arange(7 * 2 * 3, dtype="u1").reshape(7, 2, 3)
    path = tmp_path / "a-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(pixels)))
    (tmp_path / "a-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(7, dtype="u1"))))
    fields, values = read(IDX(), path)
    assert fields["x"].kind == "image"
    np.testing.assert_array_equal(values["x"], pixels)
    assert values["y"].tolist() == [*range(7)]
    for damaged, message in (
        (idx(pixels)[:-2], "is cut: it says that it has 7 rows, but ends within row 6"),
        (idx(pixels) + b"0", "goes on behind its 7 rows"),
        (b"GIF89a", "is no IDX file: it begins with b'GIF8'"),
        (struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**31, 2**31), "is damaged: its rows are"),
    ):
        (tmp_path / "b.idx").write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            read(IDX(), tmp_path / "b.idx")


def test_npy(tmp_path):
    values = np.random.default_rng(0).normal(size=(8, 3)).astype(">f4")
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", np.arange(8))
    np.testing.assert_array_equal(read(NPY(target="y.npy"), tmp_path / "x.npy")[1]["x"], values)
    np.save(tmp_path / "o.npy", np.array([print]), allow_pickle=True)
    with pytest.raises(DataError, match=r"o\.npy is no array of numbers or texts .*Python objects"):
        NPY().fields(tmp_path / "o.npy")
    (tmp_path / "o.npy").write_text("hello, here is no array")
    with pytest.raises(DataError, match=r"o\.npy is no array of numbers or texts .*magic string") as told:
        NPY().fields(tmp_path / "o.npy")
    assert "pickle" not in str(told.value)
    words = np.array(["ä", "b"] * 4)
    for texts in (words, np.char.encode(words, "utf-8")):
        np.save(tmp_path / "y.npy", texts)
        np.testing.assert_array_equal(read(NPY(target="y.npy"), tmp_path / "x.npy")[1]["y"], words)


def walks(folder):
    folder.mkdir()
    for number, steps in ((2, 3), (10, 1), (1, 2)):
        lines = "".join(f"{number}.5,{step}\n" for step in range(steps))
        (folder / f"walk_{number}.csv").write_text(f"#left, right\n{lines}")
    (folder / "target.csv").write_text("#walk, label\n1,-1\n2,1\n10,1\n")
    (folder / "group.csv").write_text("#walk, place\n1,a\n2,b\n10,a\n")
    return folder


WALKS = {"target": "target.csv", "group": "group.csv", "pattern": "walk*.csv"}


def test_sequences_of_different_lengths_from_folder_and_zip(tmp_path):
    folder = walks(tmp_path / "w")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for source in (folder, tmp_path / "w.zip"):
        fields, values = read(Sequences(**WALKS), source, rows=2)
        assert fields["x"].names == ("left", "right")
        assert fields["y"].classes == ("-1", "1")
        assert values["length"].tolist() == [2, 3, 1]
        assert values["y"].tolist() == [0, 1, 1]
        assert values["group"].tolist() == [0, 1, 0]
        assert values["x"][0].tolist() == [[1.5, 0], [1.5, 1], [0, 0]]
    (folder / "walk_3.csv").write_text("#left, right\n1,2\n")
    with pytest.raises(DataError, match=r"the sequence walk_3\.csv has no target in target\.csv"):
        read(Sequences(**WALKS), folder)
    (folder / "walk_3.csv").write_text("#left, right\n1,b\n")
    with pytest.raises(DataError, match=r"walk_3\.csv, line 2, column 'right': 'b' is no number"):
        read(Sequences(pattern="walk*.csv"), folder)
    with pytest.raises(DataError, match=r"has the columns walk, place|has the columns walk, label"):
        read(Sequences(), folder)
    with pytest.raises(
        DataError, match=r"if one tells the target of each sequence, say --target target\.csv; if one t"
    ):
        read(Sequences(), folder)
    with pytest.raises(DataError, match=r"say --target walk_1\.csv; if neither does, say which files are sequences"):
        read(Sequences(group="group.csv"), folder)
    with pytest.raises(UsageError, match=r"holds no file 'labels\.csv'; beside sequences there are: group\.csv"):
        read(Sequences(target="labels.csv", pattern="walk*.csv"), folder)


def test_sequences_and_lines_of_targets_that_do_not_pair(tmp_path):
    folder = walks(tmp_path / "w")
    for name in ("target", "group"):
        with (folder / f"{name}.csv").open("a") as file:
            file.write("98,1\n99,1\n" if name == "target" else "0,a\n")
    fields, _ = read(Sequences(**WALKS), folder)
    assert fields["y"].note == "lines of target.csv without a sequence, which may be missing: 2 (98, 99)"
    assert fields["group"].note == "lines of group.csv without a sequence, which may be missing: 1 (0)"
    (folder / "walk_00.csv").write_text("#left, right\n1,2\n")  # of line 0
    assert read(Sequences(pattern="walk*.csv", group="group.csv"), folder)[1]["group"].tolist() == [0, 0, 1, 0]
    (folder / "walk_00.csv").rename(folder / "walk_b_1.csv")
    for what in ("target", "group"):
        with pytest.raises(
            DataError, match=rf"walk_1\.csv and walk_b_1\.csv would both have the {what} of the one line 1"
        ):
            Sequences(**{what: f"{what}.csv"}, pattern="walk*.csv").fields(folder)
    (folder / "walk_1.csv").write_bytes(gzip.compress(b"1,2\n"))
    with pytest.raises(DataError, match=r"walk_1\.csv is no text, but is packed by gzip: unpack it"):
        Sequences(**WALKS).fields(folder)


def test_an_archive_that_climbs_out_or_unpacks_without_end(tmp_path, monkeypatch):
    for name in ("../a.csv", "/a.csv", "b\\..\\..\\a.csv", "C:/a.csv"):
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            archive.writestr(name, "1,2\n")
        with pytest.raises(DataError, match="a path that leads out of it"):
            Sequences().fields(tmp_path / "z.zip")
    monkeypatch.setattr("dlcli.builtin.importers.members.MOST_UNPACKED_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 10**7)
    with pytest.raises(
        DataError, match=r"unpacks to 10,000,000 bytes, more than 1,000,000; the largest file in it is a\.csv"
    ):
        Sequences().fields(tmp_path / "z.zip")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.csv").symlink_to(tmp_path / "z.zip")
    with pytest.raises(DataError, match="a link that leads out of"):
        Sequences().fields(tmp_path / "f")


def test_images_a_folder_a_class(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 6), dtype="u1")
    for place, (split, name) in enumerate([("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")]):
        (tmp_path / "i" / split / name).mkdir(parents=True)
        Image.fromarray(pixels[place]).save(tmp_path / "i" / split / name / f"{place}.png")
    fields, values = read(Images(), tmp_path / "i")
    assert fields["y"].classes == ("cat", "dog")
    np.testing.assert_array_equal(values["x"], pixels[[2, 3, 0, 1]])
    assert {k: v.tolist() for k, v in Images().splits(tmp_path / "i").items()} == {"train": [2, 3], "test": [0, 1]}
    assert read(Images(size=(3, 2), mode="rgb"), tmp_path / "i")[1]["x"].shape == (4, 3, 2, 3)
    (tmp_path / "list.csv").write_text("path,label\ni/train/cat/0.png,yes\ni/test/dog/3.png,no\n")
    np.testing.assert_array_equal(read(Images(), tmp_path / "list.csv")[1]["x"], pixels[[0, 3]])
    (tmp_path / "list.csv").write_text("path,label\n../0.png,yes\n")
    with pytest.raises(DataError, match=r"line 2, column 'path': '\.\./0\.png' leads out"):
        Images().fields(tmp_path / "list.csv")
    Image.fromarray(pixels[0, :3]).save(tmp_path / "i/test/cat/2.png")
    with pytest.raises(DataError, match=r"is 5×6, but the first is 3×6; resize all with --set size="):
        Images().fields(tmp_path / "i")
    broken = tmp_path / "i/test/cat/2.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"test/cat/2\.png does not decode"):
        read(Images(size=(5, 6)), tmp_path / "i")


GREY = np.arange(0, 240, 10, dtype="u1").reshape(4, 6)


def pictures(folder, **images):
    (folder / "i" / "a").mkdir(parents=True)
    for name, image in images.items():
        image.save(folder / "i" / "a" / name.replace("_", "."))
    return folder / "i"


@pytest.mark.parametrize("name", ["0_png", "0_tif"])
def test_images_of_16_bits_are_scaled(tmp_path, name):
    source = pictures(tmp_path, **{name: Image.fromarray(GREY.astype("u2") * 257 + 256)})
    fields, values = read(Images(), source)
    np.testing.assert_array_equal(values["x"][0], GREY)
    name = name.replace("_", ".")
    assert fields["x"].note == f"16 bits scaled to 8 (65535 becomes 255) in 1 of 1 images, first a/{name}"
    np.testing.assert_array_equal(read(Images(mode="rgb"), source)[1]["x"][0, ..., 2], GREY)


def test_colours_of_16_bits_which_pillow_shortens_itself_are_told(tmp_path):
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b"\0" + struct.pack(">3H", 65535, 2570, 0)),
        b"IEND": b"",
    }
    source = pictures(tmp_path)
    (source / "a" / "0.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks.items())
    )
    fields, values = read(Images(), source)
    assert fields["x"].note.startswith("16 bits scaled to 8")
    assert values["x"].tolist() == [[[[255, 10, 0]]]]


@pytest.mark.parametrize(("dtype", "mode"), [("i4", "I"), ("f4", "F")])
def test_images_of_32_bits_are_refused(tmp_path, dtype, mode):
    source = pictures(tmp_path, **{"0_tif": Image.fromarray(GREY.astype(dtype))})
    with pytest.raises(
        DataError, match=rf": a/0\.tif is of mode {mode}, which does not fit into 8 bits .*; convert it to 8"
    ):
        Images().fields(source)


def test_what_images_lose_is_told(tmp_path):
    grey = Image.fromarray(GREY)
    clear, colours = grey.convert("LA"), grey.convert("RGB")
    source = pictures(
        tmp_path, **{"0_png": clear, "1_png": clear, "2_tif": colours.convert("CMYK"), "3_png": grey.convert("1")}
    )
    grey.save(source / "a" / "4.tif", save_all=True, append_images=[grey])
    fields, values = read(Images(), source)
    assert fields["x"].note.split("; ") == [
        "transparency dropped in 2 of 5 images, first a/0.png",
        "CMYK converted without its colour profile in 1 of 5 images, first a/2.tif",
        "colours made grey, as in the first (else: --set mode=rgb) in 1 of 5 images, first a/2.tif",
        "pictures after the first dropped in 1 of 5 images, first a/4.tif",
    ]
    np.testing.assert_array_equal(values["x"][[0, 1, 2, 4]], [GREY] * 4)
    assert np.unique(values["x"][3]).tolist() == [0, 255]
    assert "colours" not in Images(mode="grey").fields(source)[0].note


@pytest.mark.parametrize("name", ["0_png", "0_tif", "0_jpg"])
def test_images_are_turned_as_their_orientation_says(tmp_path, name):
    turned = Image.Exif()
    turned[274] = 6  # as a camera writes it that was held upright
    source = pictures(tmp_path)
    Image.fromarray(GREY).save(
        source / "a" / name.replace("_", "."), exif=turned, **({"quality": 100} if "jpg" in name else {})
    )
    Image.fromarray(np.rot90(GREY, -1)).save(source / "a" / "1.png")
    values = read(Images(), source)[1]["x"].astype(int)
    assert values.shape == (2, 6, 4)
    np.testing.assert_allclose(values[0], values[1], atol=2 if "jpg" in name else 0)


@pytest.mark.parametrize("deep", ["a/deep/1.png", "b/deep/1.png", "deep/b/1.png"])
def test_folders_of_classes_lie_side_by_side(tmp_path, deep):
    source = pictures(tmp_path, **{"0_png": Image.fromarray(GREY)})
    (source / deep).parent.mkdir(parents=True)
    shutil.copy(source / "a" / "0.png", source / deep)
    with pytest.raises(DataError, match=rf": {deep} is not beside a/0\.png: each class is one folder"):
        Images().fields(source)
    source.joinpath("a", "0.png").unlink()
    assert Images().fields(source)[1].rows == 1  # folders around all classes do not matter


def test_a_file_that_is_no_image_is_told_by_its_name(tmp_path):
    (tmp_path / "i" / "cat").mkdir(parents=True)
    (tmp_path / "i" / "cat" / "0.png").write_text("nonsense")
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        archive.write(tmp_path / "i" / "cat" / "0.png", "cat/0.png")
    for source in (tmp_path / "i", tmp_path / "i.zip"):
        with pytest.raises(DataError, match=r": cat/0\.png is damaged, or no image of a known format; mend"):
            Images().fields(source)


def test_a_graph_with_its_splits(tmp_path):
    arrays = {"x": np.eye(4, dtype="f4"), "y": np.array([0, 1, 0, 1]), "edges": np.array([[0, 1], [2, 3], [1, 2]])}
    np.savez(tmp_path / "g.npz", **arrays, train=np.array([True, False, True, False]), test=np.array([3, 1]))
    np.testing.assert_array_equal(read(Graph(), tmp_path / "g.npz")[1]["x"], arrays["x"])
    splits = {name: rows.tolist() for name, rows in Graph().splits(tmp_path / "g.npz").items()}
    assert splits == {"train": [0, 2], "test": [3, 1]}
    np.testing.assert_array_equal(Graph().shared(tmp_path / "g.npz")["graph/edges"], arrays["edges"].T)
    mask = np.array([True, False, True, False])
    theirs = {"edge_index": arrays["edges"].T, "train_mask": mask, "val_mask": ~mask, "weight": np.ones(3)}
    np.savez(tmp_path / "g.npz", x=arrays["x"], y=arrays["y"], **theirs)
    splits = {name: rows.tolist() for name, rows in Graph().splits(tmp_path / "g.npz").items()}
    assert splits == {"train": [0, 2], "val": [1, 3]}
    np.testing.assert_array_equal(Graph().shared(tmp_path / "g.npz")["graph/edges"], arrays["edges"].T)
    assert Graph().notes(tmp_path / "g.npz") == ("left out: weight",)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"edges": np.array([[0, 1], [0, 4], [5, 0]])}, "edge 1 of edges is 0 to 4, but nodes are 0 to 3"),
        ({"edges": np.array([[0, 1], [2, -1], [1, 1]])}, "edge 1 of edges is 2 to -1, but nodes are 0 to 3"),
        ({"edges": np.ones((3, 3), int)}, r"integers E×2 or 2×E; it holds int64 of shape \(3, 3\)"),
        ({"edge_index": np.array([[0, 1]])}, "has both edges and edge_index; .*--set edges=NAME"),
        ({"train": np.array([True, False])}, "says true or false for 2 nodes, but there are 4"),
        ({"train": np.array([1, 0, 1, 0])}, r"0 and 1 for every node, as integers; .*astype\(bool\)"),
        ({"train": np.array([0.5])}, "must hold node numbers, or true and false for every node; it holds float64"),
        ({"train": np.array([0]), "train_mask": np.ones(4, bool)}, "has both train and train_mask"),
        ({"y": np.array(1)}, "y holds a single value"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_graph_that_is_wrong(tmp_path, wrong, message):
    arrays = {"x": np.eye(4, dtype="f4"), "y": np.array([0, 1, 0, 1]), "edges": np.array([[0, 1], [2, 3], [1, 2]])}
    np.savez(tmp_path / "g.npz", **arrays | wrong)
    with pytest.raises(DataError, match=message):
        Graph().fields(tmp_path / "g.npz"), Graph().shared(tmp_path / "g.npz"), Graph().splits(tmp_path / "g.npz")


def test_text_as_windows(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("abcab\ncaba")
    fields, values = read(Text(window=3), path)
    letters = ["".join(fields["x"].classes[code] for code in row) for row in values["x"]]
    assert letters == ["abc", "ab\n", "cab"]
    assert ["".join(fields["y"].classes[c] for c in row) for row in values["y"]] == ["bca", "b\nc", "aba"]
    fields, values = read(Text(window=3, predict="next"), path)
    assert [(f.kind, f.shape, f.rows) for f in fields.values()] == [("tokens", (3,), 7), ("categorical", (), 7)]
    text = path.read_text()
    for row in range(7):
        assert "".join(fields["x"].classes[code] for code in values["x"][row]) == text[row : row + 3]
        assert fields["y"].classes[values["y"][row]] == text[row + 3]
    fields, values = read(Text(window=3, predict="each", stride=2), path)
    assert ["".join(fields["x"].classes[code] for code in row) for row in values["y"]] == ["bca", "ab\n", "\nca", "aba"]
    with pytest.raises(ValueError, match="stride is 4, but a window has 3 tokens"):
        Text(window=3, stride=4)
    path.write_text("to be, or not to be to")
    fields, values = read(Text(window=2, tokens="words", vocabulary=3), path)
    assert fields["x"].classes == ("be", "to", "<unknown>")
    assert values["x"].tolist() == [[1, 0], [2, 2], [2, 1]]
    with pytest.raises(DataError, match="has 8 tokens; a window of 9 needs one more"):
        Text(window=9, tokens="words").fields(path)
    path.write_bytes(b"ab\xff")
    with pytest.raises(DataError, match="is no text of utf-8"):
        Text().fields(path)
