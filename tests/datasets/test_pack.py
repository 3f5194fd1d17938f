"""Packed data sets: the same sequences, from two files."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from killed import killed_at
from test_imagenetvid import put_vid
from trees import ROWS, put_images, put_pair

from lib.cli import pack as pack_command
from lib.core.errors import InputError
from lib.datasets import load_dataset, store_writer
from lib.datasets.image import decode_image, read_image
from lib.datasets.pack import is_packed, read_pack
from lib.datasets.pack import pack as pack_sequences
from lib.datasets.readers.folder import read_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lasher(tmp_path):
    for number, name in enumerate(("leftgirl'swhitebag", "b")):
        put_pair(tmp_path / "lasher" / "testingset" / name, frames=3 + number, rows=ROWS + "5,5,9,9\n" * number)
    (tmp_path / "lasher" / "AttriSeqsTxt").mkdir()
    (tmp_path / "lasher" / "AttriSeqsTxt" / "b.txt").write_text(",".join(["1"] + ["0"] * 18))
    return {"lasher_dir": str(tmp_path / "lasher"), "packed_dir": str(tmp_path / "packed")}


@pytest.fixture
def pack(monkeypatch, lasher):
    """Runs the command with local.py pointing into tmp_path."""
    monkeypatch.setattr(pack_command, "read_local", lambda kind: lasher)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["pack_dataset.py", *map(str, words)])
        pack_command.main()

    return run


class Killed(BaseException):
    pass


@contextmanager
def killed_while_reading(number):
    """End the block as a kill would, when image number `number` is read: what is not committed is lost."""
    read, images = Path.read_bytes, iter(range(1, 10**6))

    def read_or_end(path):
        if path.suffix == ".png" and next(images) == number:
            patch.setattr(store_writer.StoreWriter, "commit", lambda writer: None)
            raise Killed
        return read(path)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(Path, "read_bytes", read_or_end)
        yield


def count_reads(monkeypatch):
    """The paths of the images that are read from now on."""
    read, found = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: (found.append(path), read(path))[1])
    return found


def same(first, second):
    for a, b in zip(first, second, strict=True):
        assert (a.name, a.attributes, a.size, len(a)) == (b.name, b.attributes, b.size, len(b))
        assert a.frames.modalities == b.frames.modalities
        for key in ("boxes", "boxes_infrared", "annotated", "visible_share"):
            one, other = getattr(a, key), getattr(b, key)
            assert (one is None) == (other is None) and (one is None or np.array_equal(one, other))
        for index in range(len(a)):
            for one, other in zip(a.frames[index], b.frames[index], strict=True):
                assert np.array_equal(one, other)


def test_packed_set_is_the_set_and_needs_it_no_more(pack, lasher, capsys):
    plain = [pickle.loads(pickle.dumps(sequence)) for sequence in load_dataset("lasher_test", lasher)]
    pack("LasHeR_test")
    assert "2 sequences" in capsys.readouterr().out
    packed = load_dataset("LasHeR_test", lasher)
    same(plain, packed)
    same(plain, pickle.loads(pickle.dumps(packed)))
    shutil.rmtree(lasher["lasher_dir"])
    assert load_dataset("lasher_test", lasher)[0].frames[2][1].mean() == 20
    with pytest.raises(IndexError):
        packed[0].frames[4]
    put_pair(Path(lasher["lasher_dir"]) / "testingset" / "b")
    with pytest.raises(InputError, match="is not empty"):
        pack("lasher_test")


def images(folder):
    with (
        lmdb.open(str(folder / "images.lmdb"), subdir=False, lock=False, readonly=True) as found,
        found.begin() as view,
    ):
        return dict(view.cursor())


def test_keys_are_readable_and_values_are_the_files(pack, lasher):
    pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    content = images(folder)
    assert json.loads(content.pop(b"__meta__")) == {"version": 1, "images": 14, "content": "image files"}
    files = sorted((Path(lasher["lasher_dir"]) / "testingset" / "leftgirl'swhitebag" / "infrared").iterdir())
    assert [content[f"leftgirl'swhitebag/i/{frame:06d}".encode()] for frame in range(3)] == [
        path.read_bytes() for path in files
    ]
    assert len(content) == 14 and b"b/v/000003" in content
    assert sorted(path.name for path in folder.iterdir()) == ["images.lmdb", "index.npz"]
    assert [path.name for path in folder.parent.iterdir()] == ["lasher_test"]


def test_packing_that_is_killed_leaves_no_set_and_goes_on(pack, lasher, tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "COMMIT_IMAGES", 5)
    pack("lasher_test", "--out", tmp_path / "whole")
    folders = tmp_path / "packed" / "lasher_test", tmp_path / "whole" / "lasher_test"
    for images_read in (3, 7, 9):
        with killed_while_reading(images_read):
            pack("lasher_test")
        assert {path.name for path in folders[0].iterdir()} <= {"images.lmdb.partial", "index.npz"}
        assert not is_packed(folders[0])
        assert load_dataset("lasher_test", lasher)[0].frames.content(0)  # from the folders of the data set
    read = count_reads(monkeypatch)
    pack("lasher_test")
    assert 0 < len(read) < 14, "what was committed is not read again"
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [["images.lmdb", "index.npz"]] * 2
    assert images(folders[0]) == images(folders[1])
    same(read_pack(folders[0]), read_pack(folders[1]))


@pytest.mark.parametrize("moment", range(1))  # of the two files that get names, the images last
def test_packing_that_is_killed_before_the_last_name_goes_on(pack, lasher, moment):
    with killed_at(moment):
        pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    assert sorted(path.name for path in folder.iterdir()) == ["images.lmdb.partial", "index.npz"]
    assert not is_packed(folder)
    pack("lasher_test")
    same(load_dataset("lasher_test", lasher | {"packed_dir": ""}), read_pack(folder))


def test_image_that_was_replaced_in_between_is_read_again(pack, lasher, monkeypatch):
    monkeypatch.setattr(store_writer, "COMMIT_IMAGES", 1)
    with killed_while_reading(9):
        pack("lasher_test")
    path = Path(lasher["lasher_dir"]) / "testingset" / "b" / "visible" / "v000001.png"
    path.write_bytes(cv2.imencode(".png", np.full((9, 7, 3), 200, np.uint8))[1].tobytes())
    pack("lasher_test")
    assert load_dataset("lasher_test", lasher)[0].frames[1][0].mean() == 200


def test_sequence_that_has_gone_in_between_is_said(pack, lasher, monkeypatch):
    monkeypatch.setattr(store_writer, "COMMIT_IMAGES", 1)
    with killed_while_reading(14):
        pack("lasher_test")
    shutil.rmtree(Path(lasher["lasher_dir"]) / "testingset" / "b")
    with pytest.raises(InputError, match=r"lmdb.partial: holds 1\d images instead of 6: the data set has changed"):
        pack("lasher_test")


def test_pack_of_an_earlier_version_names_the_command_that_repacks(pack, lasher):
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    folder.mkdir(parents=True)
    (folder / "images.bin").write_bytes(b"1")
    (folder / "index.npz").write_bytes(b"1")
    command = f"pack_dataset.py lasher_test --out {lasher['packed_dir']}"
    with pytest.raises(InputError, match="earlier version, into images.bin; remove this folder") as caught:
        load_dataset("lasher_test", lasher)
    assert command in str(caught.value)
    with pytest.raises(InputError, match="earlier version, into images.bin; remove this folder"):
        pack("lasher_test")
    assert len(list(folder.iterdir())) == 2


def test_only_one_run_packs_a_set(pack, lasher):
    holder = (
        "import sys, time; from lib.core.lock import hold\n"
        "with hold(sys.argv[1], 'wait', 'lasher_test'): print('held', flush=True); sys.stdin.read()\n"
    )
    root = str(Path(__file__).parents[2])
    other = subprocess.Popen(
        [sys.executable, "-c", holder, lasher["packed_dir"]], cwd=root, env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="process .* is writing here; wait for its end, or choose another --out"):
        pack("lasher_test")
    other.communicate()
    pack("lasher_test")


def test_two_sequences_of_one_name_are_refused(tmp_path):
    put_pair(tmp_path / "videos" / "a")
    (sequence,) = read_folder(tmp_path / "videos")
    with pytest.raises(InputError, match="a: two sequences have this name"):
        pack_sequences([sequence, sequence], tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_categories_and_company_are_kept(pack, lasher, tmp_path):
    frames = {2: [(0, 1, 2, 5, 7, 0), (1, 0, 0, 4, 4, 1)], 3: [(0, 1, 2, 5, 7, 0), (1, 0, 0, 4, 5, 0)]}
    put_vid(tmp_path / "imagenet", frames)
    lasher["imagenet_dir"] = str(tmp_path / "imagenet")
    plain = load_dataset("imagenetvid", lasher)
    pack("imagenetvid")
    packed = load_dataset("imagenetvid", lasher)
    same(plain, packed)
    for one, other in zip(plain, packed, strict=True):
        assert (one.category, one.video) == (other.category, other.video) == ("n00000002", "v1")
        assert one.objects.others(1).tolist() == other.objects.others(1).tolist() != []


def test_sparse_annotation_and_two_kinds_of_boxes(pack, lasher, tmp_path):
    folder = tmp_path / "vtuav" / "train_ST_001" / "car"
    put_images(folder / "rgb", [f"{index:06d}.jpg" for index in range(21)])
    put_images(folder / "ir", [f"{index:06d}.jpg" for index in range(21)])
    (folder / "rgb.txt").write_text("1 1 4 4\n2 1 4 4\n3 1 4 4\n")
    (folder / "ir.txt").write_text("1 2 4 4\n2 2 4 4\n3 2 4 4\n")
    lasher["vtuav_dir"] = str(tmp_path / "vtuav")
    plain = load_dataset("vtuav_st_train", lasher)
    pack("vtuav_st_train")
    same(plain, load_dataset("vtuav_st_train", lasher))
    assert load_dataset("vtuav_st_train", lasher)[0].annotated.tolist() == [0, 10, 20]


def test_pack_that_is_damaged_is_refused(pack, lasher):
    pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    content = (folder / "images.lmdb").read_bytes()
    (folder / "images.lmdb").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="images.lmdb: is cut short"):
        load_dataset("lasher_test", lasher)
    (folder / "images.lmdb").write_bytes(content.replace(b"\x89PNG", b"\x00\x00\x00\x00"))
    with pytest.raises(InputError, match="images.lmdb: .*/v/000000 is not what was packed: its checksum differs"):
        read_pack(folder)[0].frames[0]
    (folder / "images.lmdb").write_bytes(content)
    (folder / "index.npz").write_bytes(b"")
    with pytest.raises(InputError, match="index.npz is incomplete"):
        read_pack(folder)


def contents(folder):
    return [sequence.frames.content(index) for sequence in read_pack(folder) for index in range(len(sequence))]


def test_no_wrong_byte_in_the_images_gives_another_image(pack, lasher, tmp_path):
    pack("lasher_test")
    folder, rng = Path(lasher["packed_dir"]) / "lasher_test", np.random.default_rng(0)
    whole, expected, refused = (folder / "images.lmdb").read_bytes(), contents(folder), 0
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 60)):
            data[place] = rng.integers(256)
        (folder / "images.lmdb").write_bytes(data)
        try:
            assert contents(folder) == expected
        except InputError as error:
            assert "images.lmdb: " in str(error)
            refused += 1
    assert 30 < refused < 150


def test_checksums_of_images_that_an_earlier_run_packed(pack, lasher):
    with suppress(Killed), killed_while_reading(9):
        pack("lasher_test")
    pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    assert len(contents(folder)) == 7
    with np.load(folder / "index.npz") as index:
        former = {name: index[name] for name in index.files}
        assert len(set(former.pop("checksums").tolist())) > 1
    np.savez(folder / "index.npz", **former)  # of a version that wrote none
    assert len(contents(folder)) == 7


def test_index_of_another_set_is_refused(pack, lasher, tmp_path):
    pack("lasher_test")
    put_pair(tmp_path / "videos" / "a")
    pack_sequences(read_folder(tmp_path / "videos"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "index.npz", Path(lasher["packed_dir"]) / "lasher_test" / "index.npz")
    with pytest.raises(InputError, match="is incomplete"):
        load_dataset("lasher_test", lasher)


def test_packing_stops_at_an_image_that_is_missing_and_goes_on_when_it_is_there(pack, lasher):
    path = Path(lasher["lasher_dir"]) / "testingset" / "b" / "infrared" / "i0001.png"
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(InputError, match="i0001.png: image does not exist"):
        pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    assert [one.name for one in folder.iterdir()] == ["images.lmdb.partial"]
    path.unlink()
    path.write_bytes(content)
    pack("lasher_test")
    assert len(images(folder)) == 15


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_content_is_decoded_as_the_file_is(tmp_path, suffix):
    picture = np.random.default_rng(0).integers(0, 255, (17, 23, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
    assert np.array_equal(decode_image(np.fromfile(path, np.uint8), "a"), read_image(path))


def test_wrong_arguments_are_one_line(pack, lasher):
    with pytest.raises(InputError, match="did you mean lasher_test"):
        pack("lasher_tset")
    with pytest.raises(InputError, match="cannot be packed"):
        pack("synthetic_val")
    lasher["packed_dir"] = ""
    with pytest.raises(InputError, match="nowhere to write"):
        pack("lasher_test")


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../x", "..", "a\nb"])
def test_a_name_that_leads_to_another_folder_is_refused(tmp_path, name):
    put_pair(tmp_path / "videos" / "a")
    pack_sequences(read_folder(tmp_path / "videos"), tmp_path / "packed")
    with np.load(tmp_path / "packed" / "index.npz") as content:
        arrays = dict(content)
    header = json.loads(arrays["header"].tobytes())
    header["sequences"][0]["name"] = name
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "packed" / "index.npz", **arrays)
    with pytest.raises(InputError, match="packed: sequence .* cannot be the name of a file"):
        read_pack(tmp_path / "packed")


def test_a_name_that_stands_twice_is_refused(pack, lasher):
    pack("lasher_test", "--out", lasher["packed_dir"])
    folder = Path(lasher["packed_dir"], "lasher_test")
    content = dict(np.load(folder / "index.npz"))
    header = json.loads(content["header"].tobytes())
    header["sequences"][1]["name"] = header["sequences"][0]["name"]
    content["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(folder / "index.npz", **content)
    name = header["sequences"][0]["name"]
    line = f"two sequences in index.npz are called {name}; remove the folder and pack the data set again"
    with pytest.raises(InputError, match=line):
        read_pack(folder)


@pytest.mark.parametrize("left", ["index.npz", "images.lmdb.partial"])
def test_a_set_that_is_not_packed_to_its_end_is_said(lasher, left, caplog):
    folder = Path(lasher["packed_dir"], "lasher_test")
    folder.mkdir(parents=True)
    assert len(load_dataset("lasher_test", lasher)) == 2 and "not complete" not in caplog.text
    (folder / left).touch()
    assert len(load_dataset("lasher_test", lasher)) == 2
    line = f"{folder}: is not complete, so the images themselves are read; pack it again"
    assert caplog.messages.count(line) == 1
