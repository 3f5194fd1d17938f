"""Crops of two cameras (SiamDMA): own boxes, shared draws with a little misregistration, one camera dark or bright."""

import dataclasses

import cv2
import numpy as np
import pytest

from lib.core.view import context_side
from lib.datasets.sequence import AnnotatedObjects, Frames, Sequence
from lib.train.data import degradation
from lib.train.data.context import ContextRecipe
from lib.train.data.degradation import bump, degrade, global_change, local_change
from lib.train.data.sampler import Pair
from lib.train.data.stream_crops import StreamCrops

TEMPLATE, SEARCH = ContextRecipe(127, 4, 0.05, 0, 0, 0), ContextRecipe(255, 64, 0.18, 0, 0, 0)
PLAIN = StreamCrops(0.5, TEMPLATE, SEARCH, 0.0, 0.0)
STILL = StreamCrops(0.5, dataclasses.replace(TEMPLATE, shift=0, scale=0), dataclasses.replace(SEARCH, shift=0, scale=0),
                    0.0, 0.0)  # fmt: skip
VISIBLE, INFRARED = (140, 100, 40, 30), (152, 94, 60, 45)


class Shown(Frames):
    modalities = ("visible", "infrared")

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise AssertionError("crops read through the function that they are given")


def make(crops, seed=0, boxes=(VISIBLE, INFRARED), image=None, others=(), found=False):
    """The crops of one frame: a rectangle of its own at the box of each camera; the visible box in red."""
    if image is None:
        image = np.zeros((240, 320, 6), np.uint8)
        for first, (x, y, w, h) in zip((0, 3), boxes, strict=True):
            image[y : y + h, x : x + w, first : first + 3] = 255 if first else (255, 0, 0)
        for x, y, w, h in others:
            image[y : y + h, x : x + w, 1] = 255
    objects = np.array([[0, k, *box] for k, box in enumerate([boxes[0], *others])], float)
    infrared = None if boxes[1] is None else np.array([boxes[1]], float)
    video = Sequence("a", Shown(), np.array([boxes[0]], float), infrared, objects=AnnotatedObjects(objects, 0))
    pair = Pair(video, 0, 0, video if found else None)
    return crops(pair, lambda sequence, row, reduction: image, np.random.default_rng(seed))


def place_of(pixels):
    """xywh of what is bright, pixels."""
    rows, columns = (np.flatnonzero((pixels > 127).any(axis=axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]])


def test_each_camera_is_cut_around_its_own_box_at_its_own_scale():
    made = make(STILL)
    for crop, size in ((made.template, 127), (made.search, 255)):
        for first, box in ((0, VISIBLE), (3, INFRARED)):
            scale = 127 / context_side(np.array(box, float))
            place = place_of(crop.image[..., first])
            np.testing.assert_allclose(place[2:], np.array(box[2:]) * scale, atol=1.5)
            # half a pixel of the frame, as in tracking
            np.testing.assert_allclose(place[:2] + place[2:] / 2, size / 2 + 0.5 * scale, atol=1.5)
    np.testing.assert_allclose(made.search.box[:2] + made.search.box[2:] / 2, 0.5)


def test_one_annotation_serves_both_cameras():
    image = np.repeat(np.random.default_rng(0).integers(0, 255, (240, 320, 1), np.uint8), 6, axis=2)
    made = make(PLAIN, boxes=(VISIBLE, None), image=image)
    for crop in (made.template, made.search):
        assert np.array_equal(crop.image[..., :3], crop.image[..., 3:])


def shifts(crops, count=200):
    """Centres of both boxes relative to the middle of template and search region, pixels: [count, 2, 2 cameras, 2]."""
    found = []
    for seed in range(count):
        made = make(crops, seed, boxes=(VISIBLE, VISIBLE))
        for crop in (made.template, made.search):
            places = [place_of(crop.image[..., first]) for first in (0, 3)]
            found.append([place[:2] + place[2:] / 2 - crop.image.shape[0] / 2 for place in places])
    return np.array(found).reshape(count, 2, 2, 2)


def test_cameras_share_shift_and_stretch_but_for_a_share_of_the_shift():
    same = shifts(PLAIN, 40)
    assert np.array_equal(same[:, :, 0], same[:, :, 1])
    assert 60 < abs(same[:, 1]).max() < 64 / 0.82 + 1 and abs(same[:, 0]).max() < 4 / 0.95 + 1
    apart = shifts(dataclasses.replace(PLAIN, stream_shift=0.1))
    difference = apart[:, :, 1] - apart[:, :, 0]
    assert abs(difference[:, 0]).max() <= 0.4 + 1 and 5 < abs(difference[:, 1]).max() <= 6.4 / 0.82 + 1
    moved = abs(difference[:, 1]) > 3
    assert moved.mean() == pytest.approx(0.5, abs=0.12)  # uniform to 6.4 pixels


def test_visible_box_is_the_label_and_follows_the_pixels():
    crops = dataclasses.replace(PLAIN, stream_shift=0.1)
    for seed in range(40):
        made = make(crops, seed)
        for crop, size in ((made.template, 127), (made.search, 255)):
            place = place_of(crop.image[..., 0])
            if (place[:2] > 0).all() and (place[:2] + place[2:] < size).all():
                np.testing.assert_allclose(place, crop.box * size, atol=2.5)


@pytest.mark.parametrize(
    "boxes",
    [(VISIBLE, (152, 94, 5, 45)), ((140, 100, 40, 4), INFRARED), (VISIBLE, (-50, 94, 60, 45)),
     (VISIBLE, (np.nan,) * 4)],
)  # fmt: skip
def test_target_that_either_camera_does_not_show_well_is_no_pair(boxes):
    assert make(PLAIN, boxes=boxes, image=np.zeros((240, 320, 6), np.uint8)) is None


def test_infrared_stays_grey_and_each_image_has_colours_of_its_own():
    coloured = [dataclasses.replace(recipe, colour=1.0) for recipe in (TEMPLATE, SEARCH)]
    crops = StreamCrops(0.5, *coloured, 0.0, 0.0)
    offsets = []
    for seed in range(100):
        made = make(crops, seed, image=np.full((240, 320, 6), 100, np.uint8))
        pixels = [crop.image[60, 60].astype(float) - 100 for crop in (made.template, made.search)]
        assert all(len(set(one[3:])) == 1 for one in pixels)
        offsets.append([one[:4] for one in pixels])
    spread = np.array(offsets).std(0)
    # The length of each row of the public matrix; the infrared offset is the mean of a visible one.
    np.testing.assert_allclose(spread, [[1.2, 2.52, 8.25, 3.55]] * 2, rtol=0.3)
    assert abs(np.corrcoef(np.array(offsets)[:, :, 3].T)[0, 1]) < 0.3


def test_blur_of_the_search_region_is_shared_in_its_share():
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    image = np.concatenate([noise, noise], axis=2)
    crops = StreamCrops(0.5, TEMPLATE, dataclasses.replace(SEARCH, blur=0.5), 0.0, 0.0, shared_blur=0.6)
    alike = []
    for seed in range(120):
        made = make(crops, seed, boxes=(VISIBLE, VISIBLE), image=image)
        assert np.array_equal(made.template.image[..., :3], made.template.image[..., 3:])
        alike.append(np.array_equal(made.search.image[..., :3], made.search.image[..., 3:]))
    assert np.mean(alike) == pytest.approx(0.6 + 0.4 * 0.25, abs=0.12)  # and where neither is blurred
    kernels = [
        len(crops._kernels(dataclasses.replace(SEARCH, blur=1.0), np.random.default_rng(k))[0]) for k in range(99)
    ]
    assert min(kernels) == 5 and max(kernels) == 33


def test_other_objects_lie_where_they_are_in_crops_of_the_frame_and_of_its_close_up():
    other = (100, 120, 20, 20)
    for degraded in (0.0, 1.0):
        for seed in range(12):
            made = make(dataclasses.replace(PLAIN, degradation=degraded), seed, others=[other])
            if not np.isfinite(made.others[0]).all():
                continue
            x, y = (made.others[0, :2] + made.others[0, 2:] / 2) * 255
            if 20 < x < 235 and 20 < y < 235 and not degraded:
                assert made.search.image[int(y), int(x), 1] > 200
            same = make(PLAIN, seed, others=[other])
            assert degraded or np.array_equal(same.others, made.others, equal_nan=True)
            ratio = made.others[0, 2:] / made.search.box[2:]
            np.testing.assert_allclose(ratio, np.array(other[2:]) / VISIBLE[2:], rtol=1e-6)
            gap = made.others[0, :2] + made.others[0, 2:] / 2 - made.search.box[:2] - made.search.box[2:] / 2
            np.testing.assert_allclose(gap / made.search.box[2:], [-50 / 40, 15 / 30], rtol=1e-6)


def test_only_positive_pairs_get_a_worse_camera_in_their_share(monkeypatch):
    monkeypatch.setattr(degradation, "BLURRED", 0.0)
    image = np.full((240, 320, 6), 100, np.uint8)
    crops = dataclasses.replace(STILL, degradation=0.3)
    hit = {found: [] for found in (False, True)}
    for found, seen in hit.items():
        for seed in range(80):
            made = make(crops, seed, image=image, found=found)
            seen.append(any((crop.image != 100).any() for crop in (made.template, made.search)))
    assert not any(hit[True]) and np.mean(hit[False]) == pytest.approx(0.3, abs=0.14)


def grey():
    return [[np.full((160, 160, 3), 128, np.uint8) for _ in range(2)] for _ in range(2)]


def test_branches_signs_and_places_of_degradation(monkeypatch):
    monkeypatch.setattr(degradation, "BLURRED", 0.0)  # a blur of even grey would not show
    kinds, dark, number = {"visible": 0, "infrared": 0, "both": 0}, {0: [], 1: []}, []
    for seed in range(600):
        before = grey()
        after = degrade(np.random.default_rng(seed), before)
        changed = [(k, s) for k in (0, 1) for s in (0, 1) if not np.array_equal(after[k][s], before[k][s])]
        assert all((image == 128).all() for images in before for image in images)
        assert all(np.array_equal(image[..., 0], image[..., 2]) for images in after for image in images)
        streams = {stream for _, stream in changed}
        kind = "both" if len(streams) == 2 else ("visible", "infrared")[streams.pop()]
        kinds[kind] += 1
        if kind != "both":
            number.append(len(changed))
            image, stream = changed[0]
            dark[stream].append(after[image][stream].astype(float).mean() < 128)
        elif len(changed) == 3:
            assert {(1, 0), (1, 1)} < set(changed)
        else:
            assert set(changed) in ({(0, 0), (1, 1)}, {(0, 1), (1, 0)})
    total = sum(kinds.values())
    assert kinds["visible"] / total == pytest.approx(0.4, abs=0.06)
    assert kinds["infrared"] / total == pytest.approx(0.5, abs=0.06)
    assert np.mean(dark[0]) == pytest.approx(0.5, abs=0.1) and np.mean(dark[1]) == pytest.approx(0.8, abs=0.08)
    assert np.mean(np.array(number) == 2) == pytest.approx(0.8, abs=0.08)


def test_global_change_shifts_every_pixel_and_clips():
    image = np.random.default_rng(0).integers(0, 256, (511, 511, 3), np.uint8)
    for seed in range(5):
        darker = global_change(np.random.default_rng(seed), image, -150 / 255)
        brighter = global_change(np.random.default_rng(seed), image, 224 / 255)
        assert darker.mean() < 45 and brighter.mean() > 230
        assert brighter.astype(int).std() < image.astype(int).std() / 2


def test_local_change_is_a_spot_near_the_middle_of_the_asked_size():
    image, extents, middles = np.full((511, 511, 3), 128, np.uint8), [], []
    for seed in range(150):
        spot = bump(np.random.default_rng(seed), 511, degradation.SIDES)
        assert spot.min() == 0 and 0.99 < spot.max() <= 1
        x, y, w, h = place_of(spot * 255)
        extents += [w, h]  # where the window is above one half: about its half
        middles += [x + w / 2 - 255.5, y + h / 2 - 255.5]
    assert 55 <= min(extents) < 75 and 135 < max(extents) <= 151
    assert abs(np.array(middles)).max() <= 56 and np.mean(np.abs(middles) < 20) > 0.4
    dark = [local_change(np.random.default_rng(seed), image, -0.8) for seed in range(20)]
    assert all((one[:80, :80] == 128).all() for one in dark)
    assert sum(one.min() == 0 for one in dark) >= 10


def test_some_local_changes_blur_instead():
    image = np.random.default_rng(0).integers(0, 256, (511, 511, 3), np.uint8)
    blurred = 0
    for seed in range(100):
        made = local_change(np.random.default_rng(seed), image, -0.8).astype(float)
        middle = made[235:275, 235:275]
        if abs(middle.mean() - 128) < 15 and middle.std() < 30:
            blurred += 1
            assert abs(cv2.blur(made, (60, 60)) - cv2.blur(image.astype(float), (60, 60)))[100:400, 100:400].max() < 25
    assert 10 <= blurred <= 32
