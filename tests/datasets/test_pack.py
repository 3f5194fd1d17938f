"""Packed data sets: the same sequences, from two files."""

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from killed import killed_at
from test_imagenetvid import put_vid
from trees import ROWS, put_images, put_pair

from lib.cli import pack as pack_command
from lib.core.errors import InputError
from lib.datasets import load_dataset
from lib.datasets.image import decode_image, read_image
from lib.datasets.pack import pack as pack_sequences
from lib.datasets.pack import read_pack
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


@pytest.mark.parametrize("moment", range(3))  # of four files that get names: two in a temporary folder, then in place
def test_packing_that_is_killed_can_be_repeated_and_leaves_nothing_over(pack, lasher, tmp_path, moment):
    pack("lasher_test", "--out", tmp_path / "whole")
    with killed_at(moment):
        pack("lasher_test")
    folders = tmp_path / "packed" / "lasher_test", tmp_path / "whole" / "lasher_test"
    assert not (folders[0] / "index.npz").exists()
    pack("lasher_test")
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [["images.bin", "index.npz"]] * 2
    same(read_pack(folders[0]), read_pack(folders[1]))


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


def test_pack_that_is_cut_short_is_refused(pack, lasher):
    pack("lasher_test")
    folder = Path(lasher["packed_dir"]) / "lasher_test"
    content = (folder / "images.bin").read_bytes()
    (folder / "images.bin").write_bytes(content[:-1])
    with pytest.raises(InputError, match="is incomplete"):
        read_pack(folder)
    (folder / "images.bin").write_bytes(bytes(len(content)))
    with pytest.raises(InputError, match="images.bin: frame 1 at byte 0: image cannot be decoded"):
        read_pack(folder)[0].frames[0]
    (folder / "index.npz").write_bytes(b"")
    with pytest.raises(InputError, match="is incomplete"):
        read_pack(folder)


def test_interrupted_packing_leaves_no_set(pack, lasher):
    path = Path(lasher["lasher_dir"]) / "testingset" / "b" / "infrared" / "i0001.png"
    sequences = load_dataset("lasher_test", lasher)
    assert len(sequences) == 2
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(InputError, match="i0001.png: image does not exist"):
        pack("lasher_test")
    assert not list((Path(lasher["packed_dir"]) / "lasher_test").iterdir())


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
