"""Files that are broken, hostile or not what they seem: an error that tells the place, and nothing new beside them."""

import io
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

IMPORT = ("data", "import")
TO = ("-o", "new.h5")


def texts(folder: Path) -> None:
    (folder / "ragged.csv").write_text("a,b,y\n1,2,x\n3,4\n5,6,z\n")
    (folder / "mixed.csv").write_text("a,b,y\n1,2,x\n3,hello,z\n")
    (folder / "byte.csv").write_bytes(b"a,b,y\n1,2,x\n3,\xff4,z\n")
    (folder / "twice.csv").write_text("a,a,y\n1,2,x\n3,4,z\n")
    (folder / "quote.csv").write_text('a,b,y\n1,"2,x\n3,4,z\n')
    (folder / "empty.csv").write_text("")


def folders(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        for picture in ("a", "c"):
            Image.new("L", (40, 40)).save(folder / "pictures" / name / f"{picture}.png")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40)).astype("uint8")).save(whole, "PNG")
    (folder / "pictures/dog/b.png").write_bytes(whole.getvalue()[:200])
    (folder / "walks").mkdir()
    for number in (1, 2, 3):
        (folder / f"walks/w_{number}.csv").write_text("u,v\n1,2\n3,4\n")
    (folder / "walks/target.csv").write_text("id,label\n1,1\n2,0\n")
    with zipfile.ZipFile(folder / "climbs.zip", "w") as archive:
        archive.writestr("../../evil.csv", "a,b\n1,2\n")
        archive.writestr("target.csv", "id,label\n1,1\n")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w_1.csv", "u,v\n" + "1" * 2_000_000)
        archive.writestr("target.csv", "id,label\n1,1\n")
    (folder / "lies-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 10**6, 28, 28) + b"\0" * 100)
    (folder / "lies-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 10**6))


def hdf5(folder: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(2000, 8)), np.arange(2000) % 2
    for name in ("away", "objects", "round", "whole"):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            if name == "away":
                file["x"] = h5py.ExternalLink("other.h5", "/x")
            elif name == "objects":
                file.create_dataset("x", (2000,), h5py.vlen_dtype("f4"))
            elif name == "round":
                file["x"], file["z"] = h5py.SoftLink("/z"), h5py.SoftLink("/x")
            else:
                file["x"] = x
            file["y"] = y
            file["y"].attrs["classes"] = ["no", "yes"]
    (folder / "cut.h5").write_bytes((folder / "whole.h5").read_bytes()[:60_000])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    texts(folder)
    folders(folder)
    hdf5(folder)
    return folder


def inside(folder: Path) -> dict[str, int]:
    """What is in a folder, by the time of its last change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


WALKS = ("--target", "target.csv", "--set", 'pattern="w_*.csv"')
THEIRS = ("--set", 'inputs=["x"]', "--target", "y")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*IMPORT, "ragged.csv", *TO, "--target", "y"), "ragged.csv, line 3: it has 2 cells, but the first line has 3"),
        ((*IMPORT, "mixed.csv", *TO, "--target", "y"), "mixed.csv, line 3, column 'b': 'hello' is no number, but the"),
        ((*IMPORT, "byte.csv", *TO, "--target", "y"), "byte.csv, line 3, column 'b': the byte 0xff is no utf-8"),
        ((*IMPORT, "twice.csv", *TO, "--target", "y"), "twice.csv, line 1: columns 1 and 2 are both called 'a'"),
        ((*IMPORT, "quote.csv", *TO, "--target", "y"), "quote.csv, line "),
        ((*IMPORT, "empty.csv", *TO, "--target", "y"), "empty.csv is empty"),
        ((*IMPORT, "pictures", *TO), "dog/b.png does not decode"),
        ((*IMPORT, "walks", *TO, *WALKS), "walks: the sequence w_3.csv has no target in target.csv"),
        ((*IMPORT, "climbs.zip", *TO, *WALKS), "climbs.zip holds '../../evil.csv', a path that leads out of it"),
        ((*IMPORT, "bomb.zip", *TO, *WALKS), "bomb.zip"),
        ((*IMPORT, "lies-idx3-ubyte", *TO), "lies-idx1-ubyte is cut: it says that it has 1000000 rows"),
        ((*IMPORT, "away.h5", *TO, *THEIRS), "x is an external link to other.h5:/x"),
        ((*IMPORT, "objects.h5", *TO, *THEIRS), "objects.h5: /x holds object, expected numbers or texts"),
        ((*IMPORT, "round.h5", *TO, *THEIRS), "the soft links x → z → x go in a circle"),
        ((*IMPORT, "cut.h5", *TO, *THEIRS), "cut.h5 is truncated: its end is missing (60000 bytes are there)"),
        *(
            (("data", *verb, f"{name}.h5", *rest), message)
            for verb, rest in ((("check",), ()), (("folds",), ()), (("repack",), TO))
            for name, message in (
                ("away", "other.h5:/x" if verb != ("folds",) else "which dataset is the input"),
                *([] if verb == ("repack",) else [("objects", "x")]),
                ("round", "go in a circle"),
                ("cut", "cut.h5 is truncated"),
            )
        ),
    ],
    ids=lambda value: " ".join(value[1:3]) if isinstance(value, tuple) else "",
)
def test_a_bad_file_is_told_and_leaves_nothing(dlcli, files, monkeypatch, words, message):
    monkeypatch.chdir(files)
    before = inside(files)
    outcome = dlcli(*words)
    assert outcome.code == 3
    told = " ".join((outcome.out + outcome.err).split())
    assert message in told
    assert "Traceback" not in told
    assert "fault of dlcli" not in told
    assert inside(files) == before


@pytest.mark.parametrize(
    "words",
    [("folds", "whole.h5", "-o", "whole.h5"), ("show", "whole.h5", "--html", "whole.h5")],
    ids=["folds", "show"],
)
def test_the_file_that_is_read_is_never_written_over(dlcli, files, monkeypatch, words):
    monkeypatch.chdir(files)
    before = (files / "whole.h5").read_bytes()
    outcome = dlcli("data", *words)
    assert outcome.code == 2
    assert "is what is read, so it is not written over" in outcome.err
    assert (files / "whole.h5").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("data", "folds", "whole.h5", "-o", "none/f.json"),
        ("data", "show", "whole.h5", "--html", "none/p.html"),
        ("data", "repack", "whole.h5", "-o", "none/x.h5"),
        ("init", "whole.h5", "-o", "none/r.toml"),
    ],
)
def test_a_folder_that_is_not_there_is_told_as_such(dlcli, files, monkeypatch, words):
    monkeypatch.chdir(files)
    outcome = dlcli(*words)
    assert outcome.code == 2
    assert f"{words[-2]} {words[-1]}: there is no folder none; make the folder first" in outcome.err


def test_groups_are_not_parted_by_time(dlcli, files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "both.csv").write_text("a,who,when,y\n" + "".join(f"{n},{n % 3},{n},{n % 2}\n" for n in range(30)))
    outcome = dlcli(*IMPORT, "both.csv", *TO, "--target", "y", "--group", "who", "--time", "when")
    assert outcome.code == 2
    assert "the last rows in time part groups" in " ".join(outcome.err.split())
    assert not (files / "new.h5").exists()
