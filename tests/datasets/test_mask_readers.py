"""Sets with masks: YouTube-VOS, salient objects, the synthetic set; label images as their files hold them."""

import json
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees import put_images

from lib.core.errors import InputError
from lib.datasets import load_training_set
from lib.datasets.check import check_sequences
from lib.datasets.mask import find_extent, read_labels
from lib.datasets.pack import pack
from lib.datasets.readers import youtubevos
from lib.datasets.synthetic.render import target_mask
from lib.datasets.synthetic.stream import stream


def palette_png(labels, bits=8):
    """The file of an image of palette numbers, as Pillow writes it: rows of `bits` bits a pixel, unfiltered."""
    height, width = labels.shape
    colours = bytes(np.random.default_rng(0).integers(0, 256, 3 * 2**bits).tolist())
    per_byte = 8 // bits
    padded = np.pad(labels.astype(np.uint8), ((0, 0), (0, -width % per_byte))).reshape(height, -1, per_byte)
    shifts = np.arange(per_byte)[::-1] * bits
    rows = (padded.astype(int) << shifts).sum(-1).astype(np.uint8)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", colours), (b"tRNS", b"\0"), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_numbers_are_read_and_not_their_colours(tmp_path, bits):
    labels = np.random.default_rng(1).integers(0, 2**bits, (9, 13))
    (tmp_path / "a.png").write_bytes(palette_png(labels, bits))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


@pytest.mark.parametrize("depth", [0, 3, 255])
def test_a_damaged_mask_is_one_line(tmp_path, depth):
    data = bytearray(palette_png(np.zeros((4, 4))))
    data[24] = depth
    for content in (bytes(data), b"", data[:40], data[:26]):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.png: mask cannot be decoded"):
            read_labels(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"b\.png: mask does not exist"):
        read_labels(tmp_path / "b.png")


def test_a_box_is_the_extent_of_all_contours_with_an_area():
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:9] = mask[10:15, 20:22] = True
    mask[19, 29] = True  # one pixel
    np.testing.assert_array_equal(find_extent(mask), [3, 2, 19, 13])
    mask[:] = False
    mask[4, 5:9] = True  # a line of two points
    assert find_extent(mask) is None and find_extent(mask & False) is None


def put_vos(root, videos):
    """videos: name -> label images, one a frame; frames count in steps of five."""
    known = {}
    for name, frames in videos.items():
        folder = root / "train" / "Annotations" / name
        folder.mkdir(parents=True)
        names = [f"{5 * k:05d}" for k in range(len(frames))]
        for stem, labels in zip(names, frames, strict=True):
            (folder / f"{stem}.png").write_bytes(palette_png(labels))
        put_images(root / "train" / "JPEGImages" / name, [f"{stem}.jpg" for stem in names])
        known[name] = {"objects": {"1": {"category": "dog"}, "2": {"category": "cat"}}}
    (root / "train" / "meta.json").write_text(json.dumps({"videos": known}))


def labels_of(**boxes):
    """80 x 100 pixels; boxes: a1=(x, y, w, h) of the object 1, and so on."""
    image = np.zeros((80, 100), np.uint8)
    for name, (x, y, w, h) in boxes.items():
        image[y : y + h, x : x + w] = int(name[1:])
    return image


def test_youtube_vos_objects_are_sequences_with_masks(tmp_path, caplog):
    both = labels_of(a1=(10, 5, 40, 30), a2=(60, 20, 30, 40))
    small = labels_of(a1=(10, 5, 40, 25), a2=(60, 20, 30, 40))  # object 1 has 1000 pixels: not enough
    put_vos(tmp_path, {"v1": [both, small, labels_of(a2=(0, 0, 50, 50))], "v2": [labels_of(a3=(0, 0, 60, 60))] * 2})
    tracks = load_training_set("YOUTUBEVOS", {"youtubevos_dir": str(tmp_path)})
    assert [track.name for track in tracks] == ["v1_1", "v1_2", "v2_3"] and "has 3471" in caplog.text
    first, second, third = pickle.loads(pickle.dumps(tracks))
    assert first.boxes.tolist() == [[10, 5, 40, 30], [0] * 4, [0] * 4] and first.valid.tolist() == [True, False, False]
    assert second.boxes.tolist() == [[60, 20, 30, 40], [60, 20, 30, 40], [0, 0, 50, 50]] and len(second) == 3
    assert (first.category, second.category, third.category, first.video) == ("dog", "cat", "", "v1")
    assert [path.name for path in second.frames.paths[0]] == ["00000.jpg", "00005.jpg", "00010.jpg"]
    np.testing.assert_array_equal(second.masks[0], np.where(both == 2, 255, 0))
    assert second.masks[0].dtype == np.uint8 and first.objects.others(0).tolist() == [[60, 20, 30, 40]]
    found = check_sequences(tracks, 1)
    sizes = [problem.line for problem in found.problems if problem.kind == "mask"]
    assert sizes[0] == "v1_1: frame 1: mask is 100x80, image 8x8" and len(sizes) == 6
    with pytest.raises(InputError, match="v1_1: has masks"):
        pack(tracks, tmp_path / "packed")


def test_youtube_vos_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="set youtubevos_dir in local.py"):
        youtubevos.read_training(tmp_path)
    put_vos(tmp_path, {"v": [labels_of(a1=(0, 0, 50, 50))] * 2})
    path = tmp_path / "train" / "meta.json"
    for text in ("[]", '{"videos": {"v": 1}}', '{"videos": {"v": {"objects": {"x": {}}}}}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match="meta.json: not YouTube-VOS"):
            youtubevos.read_training(tmp_path)
    path.write_text('{"videos": {}}')
    (tmp_path / "train" / "JPEGImages" / "v" / "00005.jpg").unlink()
    with pytest.raises(InputError, match="00005.jpg: image does not exist"):
        youtubevos.read_training(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="meta.json: file does not exist"):
        youtubevos.read_training(tmp_path)


def test_salient_objects_are_still_sequences_with_masks(tmp_path):
    (tmp_path / "gt").mkdir()
    put_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])
    masks = {"a": labels_of(a255=(10, 5, 40, 30), a100=(60, 60, 9, 9)), "b": labels_of()}
    masks["c"] = labels_of(a255=(0, 0, 3, 4))
    for name, mask in masks.items():
        cv2.imwrite(str(tmp_path / "gt" / f"{name}.png"), mask)
    stills = load_training_set("SALIENCY", {"saliency_dir": str(tmp_path)})
    assert stills.still and len(stills) == 2, "b shows nothing"
    first, last = pickle.loads(pickle.dumps(stills))[:]
    assert first.boxes.tolist() == [[10, 5, 40, 30]] * 2 and last.boxes.tolist() == [[0, 0, 3, 4]] * 2
    assert first.size == (100, 80) and first.name == "a_0" and last.frames.paths[0][0].name == "c.jpg"
    np.testing.assert_array_equal(first.masks[1], np.where(masks["a"] == 255, 255, 0))
    (tmp_path / "images" / "c.jpg").unlink()
    with pytest.raises(InputError, match=r"c.png: 1 of 3 masks have no image"):
        load_training_set("SALIENCY", {"saliency_dir": str(tmp_path)})
    with pytest.raises(InputError, match="set saliency_dir in local.py"):
        load_training_set("SALIENCY", {"saliency_dir": str(tmp_path / "gt")})


def test_synthetic_masks_are_what_is_seen_of_the_target():
    """Nothing outside the target, all of it where nothing covers it, and the share that the scene states elsewhere."""
    covered = whole = 0
    for sequence in stream(Path(""), 12, held_out=False, frames=16, seed=4):
        scene = sequence.frames.scene
        for frame in (0, 7, 15):
            mask, full = sequence.masks[frame], target_mask(scene, frame)
            assert mask.shape == (256, 320) and set(np.unique(mask)) <= {0, 255} and not (mask > 0)[~full].any()
            box, share = scene.actors[scene.target].boxes[frame], sequence.visible_share[frame]
            if (box[:2] < 0).any() or (box[:2] + box[2:] > scene.size).any() or full.sum() < 200:
                continue
            assert abs((mask > 0).sum() / full.sum() - share) < 0.1, "the share is measured on a coarse grid"
            whole += ((mask > 0) == full).all()
            covered += share < 0.9
    assert whole > 5 and covered > 2
