"""Every reader of files from elsewhere, on damaged and hostile variants: a value or one line, nothing else.

Bounded and seeded: VARIANTS of a small valid file for each reader. Checkpoints have tests of their own
(core/test_crafted_checkpoints.py), YAML too (core/test_bounded.py).
"""

import json
import logging
import time
from collections import deque

import cv2
import numpy as np
import pytest
import torch
from test_imagenetvid import put_vid
from test_mask_readers import palette_png
from test_mat import cell, numbers, write
from test_still_readers import TABLE, put_crops, put_det
from trees import put_images, put_pair

from lib.core import paths
from lib.core.checkpoint import load_weights, save_weights
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.schema import read_yaml
from lib.datasets import annotation, index, load_dataset, load_training_set, mat
from lib.datasets.image import read_image
from lib.datasets.mask import read_labels
from lib.datasets.pack import pack, read_pack
from lib.datasets.readers import cropped as cropped_sets
from lib.datasets.readers import gtot
from lib.datasets.readers.folder import read_folder
from lib.datasets.store_writer import fill_store
from lib.test.demo.boxes import parse_box, read_given_boxes
from lib.test.evaluation.record import _decisive, digest
from lib.test.results import dialect, files
from lib.test.tuning import search
from lib.test.tuning.search import read_records
from lib.test.video.homography import read_homography

VARIANTS = 40
TOKENS = [b"1e999", b"-1", b"nan", b"inf", b"9" * 5000, b"\0", b"\xff\xfe", b"\n", b"\r", b"[" * 3000, b"{" * 2000,
          b'"', b"null", b"true", b"[]", b"{}", b"1e308", b"../../x", b"\xe2\x80\xa8", b"\x1b[2J", b",",
          b"<!DOCTYPE a [",
          b"&a;", b"<a>" * 3000, b"\x00\x00\x00\x7f", b"\xff\xff\xff\xff", b"'", b"(", b"0x",
          b"18446744073709551616"]  # fmt: skip


def mutate(whole: bytes, rng: np.random.Generator) -> bytes:
    """A file with a few bytes replaced, cut out, repeated, or replaced by hostile words; sometimes cut short."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
        kind = rng.integers(6)
        if kind == 0:
            data[place : place + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + 40]
        elif kind == 3 and rng.integers(3) == 0:
            del data[place:]
        else:
            data[place : place + length] = TOKENS[rng.integers(len(TOKENS))]
    return bytes(data)


def text(name, content, read):
    def prepare(tmp_path, monkeypatch):
        (tmp_path / name).write_text(content)
        return tmp_path / name, lambda: read(tmp_path / name)

    return prepare


def mat_file(tmp_path, monkeypatch):
    flags = numbers("<", "OCC", np.array([[1], [0]], np.uint8))
    write(tmp_path / "a.mat", "<", cell("<", "seqName", ["a", "b"]), flags)
    return tmp_path / "a.mat", lambda: (mat.read_mat(tmp_path / "a.mat"), gtot.read_attributes(tmp_path / "a.mat"))


def packed_mat_file(tmp_path, monkeypatch):
    write(tmp_path / "a.mat", "<", cell("<", "seqName", ["a", "b"]), packed=True)
    return tmp_path / "a.mat", lambda: mat.read_mat(tmp_path / "a.mat")


def packed_set(tmp_path, monkeypatch):
    put_pair(tmp_path / "videos" / "a")
    pack(read_folder(tmp_path / "videos"), tmp_path / "packed")

    def read():
        for sequence in read_pack(tmp_path / "packed"):
            list(sequence.frames)

    return tmp_path / "packed" / "index.npz", read


def packed_header(tmp_path, monkeypatch):
    path, read = packed_set(tmp_path, monkeypatch)
    with np.load(path) as content:
        arrays = dict(content)
    (tmp_path / "header").write_bytes(arrays.pop("header").tobytes())

    def rewrite():
        np.savez(path, header=np.frombuffer((tmp_path / "header").read_bytes(), np.uint8), **arrays)
        read()

    return tmp_path / "header", rewrite


def index_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "MIN_FILES", 1)
    monkeypatch.setattr(index, "SETTLED", -(10**12))
    (tmp_path / "a.txt").write_text("1,2,3,4\n")
    cache = index.Index(tmp_path / "cache")
    cache.numbers(tmp_path / "a.txt", 4, lambda: annotation.parse_numbers("a", ["1,2,3,4"], 4))
    cache.save()

    def read():
        again = index.Index(tmp_path / "cache")
        return again.numbers(tmp_path / "a.txt", 4, lambda: np.ones((1, 4)))

    return tmp_path / "cache" / "index.json", read


def cropped(tmp_path, monkeypatch):
    put_crops(tmp_path / "vid", {"v": {"00": {"000003": [1, 2, 5, 9], "000004": [4, 8]}}}, {"v": {"00": "dog"}})
    return tmp_path / "vid" / "train.json", lambda: load_training_set("VID511", {"crop511_dir": str(tmp_path)})[:]


def categories(tmp_path, monkeypatch):
    _, read = cropped(tmp_path, monkeypatch)
    return tmp_path / "vid" / "categories.json", read


def infrared_boxes(tmp_path, monkeypatch):
    content = {"v": {"00": {"000003": [1, 2, 5, 9], "000004": [4, 2, 12, 10]}}}
    about = {"geometry": cropped_sets.GEOMETRY, "streams": ["visible", "infrared"]}
    picture = cv2.imencode(".jpg", np.zeros((511, 511, 3), np.uint8))[1].tobytes()
    with fill_store(tmp_path / "gtot" / cropped_sets.STORE, about) as store:
        for key in (f"v_00/{stream}/{frame:06d}" for stream in "vi" for frame in (3, 4)):
            store.put(key, picture)
        store.complete(4)
    for name in ("train.json", "infrared.json"):
        (tmp_path / "gtot" / name).write_text(json.dumps(content))

    def read():
        for sequence in load_dataset("gtot511", {"crop511_dir": str(tmp_path)}):
            assert len(sequence.boxes_infrared) == len(list(sequence.frames))

    return tmp_path / "gtot" / "infrared.json", read


def coco(tmp_path, monkeypatch):
    put_images(tmp_path / "images" / "train2017", ["1.jpg"])
    (tmp_path / "annotations").mkdir()
    item = {"image_id": 1, "iscrowd": 0, "bbox": [1, 1, 2, 2], "category_id": 3}
    content = {"images": [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 8}], "annotations": [item, item],
               "categories": [{"id": 3, "name": "car"}]}  # fmt: skip
    path = tmp_path / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(content))
    return path, lambda: load_training_set("COCO17", {"coco_dir": str(tmp_path)})[:]


def imagenet_vid(tmp_path, monkeypatch):
    put_vid(tmp_path, {0: [(0, 1, 2, 5, 7, 0)], 1: [(0, 1, 2, 5, 7, 0)], 2: [(0, 1, 2, 5, 7, 0)]})
    path = next(tmp_path.rglob("000001.xml"))
    return path, lambda: load_training_set("IMAGENETVID", {"imagenet_dir": str(tmp_path)})[:]


def imagenet_det(tmp_path, monkeypatch):
    path = put_det(tmp_path, "n02084071_1", [("n02084071", 1, 2, 5, 7), ("n01503061", 0, 0, 3, 4)])
    put_images(tmp_path / "Data" / "DET" / "train" / "ILSVRC2013_train" / "n02084071", ["n02084071_1.JPEG"])
    return path, lambda: load_training_set("IMAGENETDET", {"imagenet_dir": str(tmp_path)})[:]


def youtube_bb(tmp_path, monkeypatch):
    for target, time_ in ((0, 1000), (1, 3000)):
        put = tmp_path / f"train/0/vidA_{time_}_0_{target}.jpg"
        put.parent.mkdir(parents=True, exist_ok=True)
        put.write_bytes(cv2.imencode(".jpg", np.zeros((10, 20, 3), np.uint8))[1].tobytes())
    (tmp_path / "yt_bb_detection_train.csv").write_text(TABLE)
    return tmp_path / "yt_bb_detection_train.csv", lambda: load_training_set(
        "YOUTUBEBB", {"youtubebb_dir": str(tmp_path)}
    )[:]


def mask(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(palette_png(np.arange(12).reshape(3, 4) % 4))
    return path, lambda: read_labels(path)


def local_py(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FILES", {"test": tmp_path / "local.py"})
    (tmp_path / "local.py").write_text('"""Paths."""\n\nlasher_dir = "/data/lasher"  # LasHeR\nsave_dir = "out"\n')
    return tmp_path / "local.py", lambda: paths.read_local("test")


def record_of_a_search(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"1")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text("TEST: {SEARCH_FACTOR: 4.0}\n")
    path = tmp_path / "a" / search.RECORD
    path.write_text(json.dumps({"videos": {"v": {}}, "checkpoint": digest(tmp_path / "w.pth"), "figures": {}}))
    return path, lambda: read_records(tmp_path, [], tmp_path / "w.pth")


def image(suffix):
    def prepare(tmp_path, monkeypatch):
        pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
        (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
        return tmp_path / f"a{suffix}", lambda: read_image(tmp_path / f"a{suffix}")

    return prepare


def safetensors(tmp_path, monkeypatch):
    save_weights(tmp_path / "a.safetensors", {"a": torch.ones(2, 3), "b": torch.ones(2)}, {"network": "x"})
    return tmp_path / "a.safetensors", lambda: load_weights(tmp_path / "a.safetensors")


def npz(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=np.ones((2, 3)), b=np.ones(2))
    return tmp_path / "a.npz", lambda: load_weights(tmp_path / "a.npz")


ROWS = "1,2,3,4\n5,6,7,8\n9,10,11,nan\n"
CONFIG = "TRAIN:\n  LR: 1e-4\n  EPOCH: 3\nTEST:\n  SEARCH_FACTOR: 4.0\n"
READERS = {
    "boxes": text("a.txt", ROWS, annotation.read_boxes),
    "flags": text("a.txt", "0,1,1,0\n", annotation.read_flags),
    "result": text("a.txt", "1\t2\t3\t4\n5\t6\t7\t8\n", dialect.read_result),
    "corners": text("a.txt", "1,2,3,2,3,4,1,4\n1,2,3,2,3,4,1,4\n", dialect.read_result),
    "seconds": text("a_time.txt", "0.1\t0.2\n0.1\t0.2\n", files.read_both_seconds),
    "confidence": text("a_confidence.txt", "0.5\t1\n0.5\t0\n", lambda path: dialect.read_confidence(
        path.with_name("a.txt"), "a")),
    "times": text("a_time.txt", "0.1\n0.2\n", lambda path: dialect.read_times(path.with_name("a.txt"), "a")),
    "given boxes": text("a.txt", "1 1 5 5 9 9\n3 1 6 6 9 9  # corrected\n", read_given_boxes),
    "box": text("a.txt", "1,2,3,4", lambda path: parse_box(path.read_bytes().decode("latin1"))),
    "homography": text("a.txt", "1 0 0\n0 1 0\n0 0 1\n", read_homography),
    "yaml": text("a.yaml", CONFIG, read_yaml),
    "configuration": text("a.yaml", CONFIG, lambda path: load_config("iimf_track", str(path))),
    "--set": text("a.txt", "TEST.SEARCH_FACTOR=4.5", lambda path: load_config(
        "iimf_track", "tiny", [path.read_bytes().decode("latin1")])),
    "record": text("config.yaml", "# checkpoint: a, sha256 1\n" + CONFIG, _decisive),
    "mat": mat_file, "packed mat": packed_mat_file, "packed set": packed_set, "header of a packed set": packed_header,
    "index": index_cache, "crops": cropped, "categories": categories,
    "infrared boxes": infrared_boxes, "COCO": coco, "VID": imagenet_vid,
    "DET": imagenet_det, "YouTube-BB": youtube_bb, "local.py": local_py, "search": record_of_a_search,
    "mask": mask,
    "JPEG": image(".jpg"), "PNG": image(".png"), "BMP": image(".bmp"), "safetensors": safetensors, "npz": npz,
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_a_value_or_one_line(reader, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    path, read = READERS[reader](tmp_path, monkeypatch)
    whole, rng = path.read_bytes(), np.random.default_rng(2026)
    read()  # the valid file
    refused, longest = 0, 0.0
    for _ in range(VARIANTS):
        path.write_bytes(mutate(whole, rng))
        begun = time.process_time()
        try:
            found = read()
            deque(found if isinstance(found, (list, dict)) else (), 0)
        except InputError as error:
            assert str(error).isprintable() and len(str(error)) < 2100
            refused += 1
        longest = max(longest, time.process_time() - begun)
    assert longest < 5
    assert refused or reader in ("index", "BMP"), "none of the variants is refused: they are no test"
