"""MATLAB 5 files, written here byte by byte, and GTOT's flags from one."""

import struct
import zlib

import numpy as np
import pytest
from trees import put_images

from lib.core.errors import InputError
from lib.datasets import mat
from lib.datasets.mat import read_mat
from lib.datasets.readers.gtot import read_gtot
from lib.test.analysis.attributes import read_attributes

CODES = {"uint8": (2, 9), "int16": (3, 10), "float64": (9, 6)}


def element(order: str, kind: int, data: bytes, *, small: bool = False) -> bytes:
    if small and len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}2I", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(order: str, name: str, shape: tuple[int, ...], array_class: int, parts: bytes) -> bytes:
    head = element(order, 6, struct.pack(f"{order}2I", array_class, 0))
    head += element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape))
    return element(order, 14, head + element(order, 1, name.encode(), small=True) + parts)


def numbers(order: str, name: str, values: np.ndarray) -> bytes:
    kind, array_class = CODES[values.dtype.name]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes(order="F")
    return matrix(order, name, values.shape, array_class, element(order, kind, data, small=True))


def text(order: str, name: str, words: str) -> bytes:
    data = np.array([ord(letter) for letter in words], f"{order}u2").tobytes()
    return matrix(order, name, (1, len(words)), 4, element(order, 4, data, small=True))


def cell(order: str, name: str, words: list[str]) -> bytes:
    return matrix(order, name, (len(words), 1), 1, b"".join(text(order, "", word) for word in words))


def write(path, order: str, *variables: bytes, packed: bool = False) -> None:
    if packed:
        squeezed = [zlib.compress(variable) for variable in variables]
        variables = tuple(struct.pack(f"{order}2I", 15, len(data)) + data for data in squeezed)
    mark = struct.pack(f"{order}2H", 0x0100, 0x4D49)
    path.write_bytes(b"MATLAB 5.0 MAT-file, made here".ljust(124) + mark + b"".join(variables))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_arrays_texts_and_cells(tmp_path, order, packed):
    table = np.arange(6, dtype=np.float64).reshape(2, 3) / 4
    few, many = np.array([[3]], np.uint8), np.arange(5, dtype=np.int16)[:, None] - 2
    variables = [numbers(order, name, values) for name, values in (("table", table), ("x", few), ("column", many))]
    words = ["carNig", "a", "OccCar-1"]
    write(tmp_path / "a.mat", order, *variables, cell(order, "names", words), text(order, "s", "hello"), packed=packed)
    found = read_mat(tmp_path / "a.mat")
    assert list(found) == ["table", "x", "column", "names", "s"]
    for name, values in (("table", table), ("x", few), ("column", many)):
        np.testing.assert_array_equal(found[name], values)
    assert found["names"] == words and found["s"] == "hello"


def test_what_is_no_such_file_is_one_line(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"a\.mat: is not a MATLAB 5 file; save it with -v6 or -v7"):
        read_mat(path)
    write(path, "<", numbers("<", "x", np.zeros((9, 9))), packed=True)
    whole = path.read_bytes()
    for end in range(129, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"a\.mat: cannot be read: .*; get the file again"):
            read_mat(path)
    write(path, "<", matrix("<", "s", (1, 1), 2, b""))  # a structure
    with pytest.raises(InputError, match="variable s is neither numbers, text nor a cell"):
        read_mat(path)


def test_gtot_attributes(tmp_path):
    for name in ("carNig", "BlackCar"):
        for stream in "vi":
            put_images(tmp_path / name / stream, [f"0000{index}{stream}.png" for index in (1, 2)])
            (tmp_path / name / f"groundTruth_{stream}.txt").write_text("10 20 40 60\n10 20 40 60\n")
    flags = [
        numbers("<", key, np.array(column, np.uint8)[:, None]) for key, column in (("OCC", [1, 0]), ("LI", [1, 1]))
    ]
    write(tmp_path / "AttrMat.mat", "<", cell("<", "seqName", ["BlackCar", "carNig"]), *flags, packed=True)
    assert [sequence.attributes for sequence in read_gtot(tmp_path)] == [
        {"OCC": True, "LI": True},
        {"OCC": False, "LI": True},
    ]
    assert read_attributes(tmp_path) == {"BlackCar": frozenset({"OCC", "LI"}), "carNig": frozenset({"LI"})}
    write(tmp_path / "AttrMat.mat", "<", cell("<", "seqName", ["BlackCar"]), *flags)
    with pytest.raises(InputError, match=r"AttrMat\.mat: expected seqName and one flag per name and attribute"):
        read_gtot(tmp_path)
    (tmp_path / "AttrMat.mat").unlink()
    assert all(sequence.attributes == {} for sequence in read_gtot(tmp_path))


def compressed(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return struct.pack("<2I", 15, len(packed)) + packed


def nested_cells(depth: int) -> bytes:
    inside = text("<", "", "a")
    for _ in range(depth):
        inside = matrix("<", "c", (1, 1), 1, inside)
    return inside


@pytest.mark.parametrize(
    "content",
    [
        element("<", 14, b""),
        element("<", 14, element("<", 6, bytes(8))),
        matrix("<", "x", (1, 1), 6, b""),
        matrix("<", "x", (-1, -1), 6, element("<", 9, bytes(8))),
        matrix("<", "x", (1 << 30, 1 << 30), 6, element("<", 9, bytes(8))),
        matrix("<", "x", (1, 1), 4, element("<", 9, np.array([1e300]).tobytes())),
        struct.pack("<2I", 14, (1 << 32) - 1),
        nested_cells(3000),
        compressed(compressed(compressed(text("<", "s", "a")))),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_files_are_one_line(tmp_path, content, packed):
    write(tmp_path / "a.mat", "<", compressed(content) if packed else content)
    with pytest.raises(InputError, match=r"a\.mat: cannot be read: .*; get the file again") as raised:
        read_mat(tmp_path / "a.mat")
    assert str(raised.value).isprintable()


def test_what_expands_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mat, "LARGEST", 1 << 16)
    zeros = numbers("<", "x", np.zeros((1000, 8)))
    write(tmp_path / "a.mat", "<", zeros, zeros, packed=True)
    with pytest.raises(InputError, match="expand to more than"):
        read_mat(tmp_path / "a.mat")
    write(tmp_path / "a.mat", "<", zeros, zeros)
    with pytest.raises(InputError, match="is larger than"):
        read_mat(tmp_path / "a.mat")
