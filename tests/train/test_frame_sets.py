"""Sets of frames, as trackers that learn online are trained on: which ones, how they are cut, the boxes for IoU-Net."""

import math

import numpy as np
import pytest
import torch
from test_near_pairs import pairs, stills, video

from lib.core.boxes import xywh_to_cxcywh
from lib.core.sample_view import INSIDE
from lib.train.data.augment import CropRecipe
from lib.train.data.frame_sets import FrameSetDataset, FrameSets
from lib.train.data.modality import StreamRules
from lib.train.data.proposals import DensityProposals, IoUProposals, overlaps
from lib.train.data.sample import collate
from lib.train.data.sampler import NoPair
from lib.train.data.set_crops import SetCrops

INNER = {"border": INSIDE, "shrinking": 1.5}
BOX = np.array([40.0, 30.0, 24.0, 16.0])


def sets(*datasets, train=3, test=3, interval=30, causal=True):
    return FrameSets(pairs(*datasets).videos, train, test, interval, causal)


def drawn(sampler, number=1500):
    rng = np.random.default_rng(3)
    return [sampler.draw(rng) for _ in range(number)]


def test_causal_sets_learn_from_frames_before_and_search_behind():
    found = drawn(sets([video(100)], interval=9))
    first = np.array([one.train[0] for one in found])
    before = first[:, None] - np.array([one.train[1:] for one in found])
    behind = np.array([one.test for one in found]) - first[:, None]
    assert first.min() == 1 and first.max() == 98 and (len(found[0].train), len(found[0].test)) == (3, 3)
    assert before.min() == behind.min() == 1 and before.max() == behind.max() == 9
    inner = behind[(first > 20) & (first < 80)].ravel()
    assert np.bincount(inner)[1:] / len(inner) == pytest.approx(np.full(9, 1 / 9), abs=0.03)


def test_sets_without_direction_are_near_on_both_sides():
    found = drawn(sets([video(100)], train=1, test=1, interval=5, causal=False))
    distance = np.array([one.test[0] - one.train[0] for one in found])
    assert (
        distance.min() == -5
        and distance.max() == 5
        and (distance == 0).any()
        and {len(one.train) for one in found} == {1}
    )


def test_an_interval_grows_to_the_nearest_frame():
    gap = video(200, [*range(7), *range(160, 167)])
    found = drawn(sets([gap], interval=10), 800)
    across = {(one.train[0], row) for one in found for row in one.test if one.train[0] < 7 <= row}
    assert across and {first for first, _ in across} == {6}, "the others have a nearer frame"
    assert {row for _, row in across} == {160, 161}, "154 to 155 frames: the interval is 155"


def test_sequences_need_twice_the_frames_and_images_are_repeated():
    with pytest.raises(NoPair, match="more than 12 visible frames"):
        drawn(sets([video(40, range(12))]), 1)
    assert drawn(sets([video(40, range(13))]), 1)
    one = drawn(sets(stills([[4, 5, 6, 7]])), 1)[0]
    assert one.train == one.test == (0, 0, 0)


def set_crops(proposals=None, **options):
    options = {"grey": 0.0, "brightness": 0.0, "flip": 0.0} | options
    train, test = CropRecipe(4.0, 64, 1.0, 0.25), CropRecipe(4.0, 64, 2.0, 0.5)
    return SetCrops(train, test, proposals or IoUProposals(8, (0.01, 0.05, 0.1, 0.2, 0.3), 0.1), **options)


@pytest.mark.parametrize("options", [{}, {"flip": 1.0}, INNER, {"flip": 1.0} | INNER], ids=str)
def test_boxes_lie_on_their_targets(options):
    scene = video(20, masks=True)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = set_crops(**options)(scene, (0, 1), (2, 3, 4), lambda s, row, k: s.frames[row][0], rng)
        assert len(found.train) == 2 and len(found.test) == len(found.proposals) == 3
        for crop in (*found.train, *found.test):
            bright = crop.image[..., 0] > 155
            rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
            x, y, w, h = crop.box
            seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            expected = np.clip([x, y, x + w, y + h], 0, 64)
            np.testing.assert_allclose(expected, seen, atol=2.5)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_labels_are_counted_from_the_middle_of_the_first_pixel(flip):
    scene, rng, gaps = video(20), np.random.default_rng(3), []
    for _ in range(60):
        (crop,) = set_crops(flip=flip)(scene, (0,), (2,), lambda s, row, k: s.frames[row][0], rng).train
        bright = crop.image[..., 0] > 155
        columns, rows = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
        if min(columns[0], rows[0]) > 0 and max(columns[-1], rows[-1]) < 63:
            middle = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
            gaps.append(xywh_to_cxcywh(crop.box)[:2] - middle)
    assert len(gaps) > 30
    np.testing.assert_allclose(np.mean(gaps, axis=0), -0.5, atol=0.15)


def test_the_three_frames_of_a_set_differ_in_place_brightness_and_size():
    scene, rng = video(20), np.random.default_rng(1)
    many = [set_crops(brightness=0.2)(scene, (0,), (5,), lambda s, row, k: s.frames[row][0], rng) for _ in range(300)]
    centres = [np.array([xywh_to_cxcywh(getattr(one, part)[0].box)[:2] for one in many]) for part in ("train", "test")]
    spread = [points.std(0).mean() for points in centres]
    assert spread[1] > 1.5 * spread[0] > 3, "frames to find the target in are shifted more"
    assert all((crop.image[..., 0] == crop.image[..., 1]).all() for crop in set_crops(grey=1.0)(
        scene, (0,), (5,), lambda s, row, k: s.frames[row][0], rng)[0])  # fmt: skip


def test_proposals_for_iou_have_their_true_overlap_and_at_least_the_lowest():
    kind, rng = IoUProposals(400, (0.01, 0.05, 0.1, 0.2, 0.3), 0.1), np.random.default_rng(0)
    found = kind.draw(rng, BOX)
    np.testing.assert_allclose(found.wanted, overlaps(found.boxes, BOX))
    assert found.wanted.min() >= 0.1 and 0.1 < (found.wanted < 0.4).mean() < 0.5 and (found.wanted > 0.9).mean() > 0.1
    assert found.sampling is None and (found.boxes[:, 2:] >= 1).all()
    tight = IoUProposals(50, (3.0,), 0.9).draw(rng, BOX)
    assert tight.wanted.min() >= 0.9


def test_overlap_of_boxes_known_by_hand():
    boxes = np.array([[40, 30, 24, 16], [52, 30, 24, 16], [40, 30, 12, 16], [0, 0, 5, 5]], float)
    np.testing.assert_allclose(overlaps(boxes, BOX), [1, 1 / 3, 0.5, 0])


def test_densities_of_samples_are_those_they_were_drawn_from():
    """The mean of 1 / q over samples of q is the volume of their space; the mean of p / q is 1."""
    kind = DensityProposals(200_000, ((0.05, 0.05), (0.5, 0.5)), (0.05, 0.05))
    found = kind.draw(np.random.default_rng(0), BOX)
    assert (found.wanted / found.sampling).mean() == pytest.approx(1, abs=0.02)
    middle = xywh_to_cxcywh(found.boxes)
    offsets = np.concatenate([(middle[:, :2] - xywh_to_cxcywh(BOX)[:2]) / BOX[2:], np.log(middle[:, 2:] / BOX[2:])], 1)
    inside = (np.abs(offsets) < 0.2).all(1)
    assert (inside / found.sampling).mean() == pytest.approx(0.4**4, rel=0.05)
    narrow, wide = (1 / ((2 * math.pi) ** 2 * deviation**4) for deviation in (0.05, 0.5))
    at = found.sampling[np.abs(offsets).max(1).argmin()]
    assert at == pytest.approx((narrow + wide) / 2, rel=0.2) and found.wanted.max() == pytest.approx(narrow, rel=0.2)
    assert offsets[:, :2].std() == pytest.approx(math.sqrt((0.05**2 + 0.5**2) / 2), rel=0.02)


@pytest.mark.parametrize("kind", [None, DensityProposals(16, ((0.05, 0.05), (0.5, 0.5)), (0.05, 0.05))])
def test_sets_are_joined_to_batches_and_follow_from_their_number(kind):
    data = FrameSetDataset(sets([video(40)], train=3, test=2), set_crops(kind), StreamRules(1), seed=(1, 0))
    batch = collate([data[2, index] for index in range(3)]).batch
    count = 8 if kind is None else 16
    assert batch.train.shape == (3, 3, 3, 64, 64) and batch.test.shape == (3, 2, 3, 64, 64)
    assert batch.train.dtype == torch.uint8 and batch.train_boxes.shape == (3, 3, 4) and batch.size == 3
    assert batch.proposals.shape == (3, 2, count, 4) and batch.wanted.shape == (3, 2, count)
    assert (batch.sampling is None) == (kind is None)
    again = collate([data[2, index] for index in range(3)]).batch
    assert torch.equal(again.proposals, batch.proposals) and not torch.equal(
        data[3, 0].batch.test, data[2, 0].batch.test
    )
    normal = batch.normalised(lambda images: images.float() / 255)
    assert normal.test.dtype == torch.float32 and normal.apply(lambda part: part[:2]).size == 2
