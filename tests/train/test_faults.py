"""Cameras that fail in training: each fault, which stream it hits, shifts, sets with one stream."""

import numpy as np
import pytest

from lib.train.data.augment import LabelledCrop
from lib.train.data.faults import BROKEN, FAULTS, harm
from lib.train.data.modality import StreamRules

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
ALL = sorted({*FAULTS["visible"], *FAULTS["infrared"], *BROKEN}, key=lambda fault: fault.__name__)


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.__name__)
def test_each_fault_changes_a_copy_and_follows_its_seed(fault):
    before = PICTURE.copy()
    first, again, other = (fault(np.random.default_rng(seed), PICTURE) for seed in (1, 1, 2))
    assert first.shape == PICTURE.shape and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(PICTURE, before) and not np.array_equal(first, PICTURE)


def test_one_stream_of_the_search_region_gets_worse():
    pair = np.concatenate([PICTURE, PICTURE[::-1]], axis=2)
    hit = {0: 0, 1: 0}
    for seed in range(200):
        template, search = harm(np.random.default_rng(seed), pair, pair, 0.0)
        changed = [not np.array_equal(search[..., k : k + 3], pair[..., k : k + 3]) for k in (0, 3)]
        assert template is pair and sum(changed) == 1
        hit[changed.index(True)] += 1
    assert 95 <= hit[0] <= 145  # 60 %


def test_template_gets_the_same_fault_in_its_share():
    pair = np.concatenate([PICTURE, PICTURE[::-1]], axis=2)
    both = [harm(np.random.default_rng(seed), pair, pair, 1.0) for seed in range(20)]
    assert all((np.array_equal(t[..., :3], PICTURE)) == (np.array_equal(s[..., :3], PICTURE)) for t, s in both)


def test_infrared_is_shifted_alike_in_all_frames_of_a_sample():
    rules = StreamRules(2, shift=8.0)
    spot = np.zeros((40, 40, 3), np.uint8)
    spot[20, 20] = 255
    places = set()
    for key in ((0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3)):
        stacks = [rules.stack([spot, spot], ("visible", "infrared"), "a", key) for _ in range(2)]
        assert np.array_equal(*stacks) and np.array_equal(stacks[0][..., :3], spot)
        place = np.unravel_index(stacks[0][..., 3].argmax(), (40, 40))
        assert all(abs(at - 20) <= 9 for at in place)
        places.add(tuple(map(int, place)))
    assert len(places) == 3


def test_infrared_is_shifted_in_its_share_and_never_where_it_is_the_only_image():
    spot = np.zeros((40, 40, 3), np.uint8)
    spot[20, 20] = 255
    both, keys = ("visible", "infrared"), [(0, 0, 1, index) for index in range(200)]
    half = StreamRules(2, shift=8.0, shifted=0.5)
    still = sum(np.array_equal(half.stack([spot, spot], both, "a", key)[..., 3:], spot) for key in keys)
    assert 75 <= still <= 125
    alone = StreamRules(2, "failed", shift=8.0)
    assert all(np.array_equal(alone.stack([spot], ("infrared",), "a", key)[..., 3:], spot) for key in keys[:20])


@pytest.mark.parametrize("stream", ["visible", "infrared"])
def test_a_set_with_one_stream_gets_a_broken_camera(stream):
    rules, place = StreamRules(2, "failed"), 0 if stream == "visible" else 3
    made = [rules.stack([PICTURE], (stream,), "a", (0, 0, 1, index)) for index in (1, 1, 2)]
    assert all(np.array_equal(one[..., place : place + 3], PICTURE) for one in made)
    other = [one[..., 3 - place : 6 - place] for one in made]
    assert np.array_equal(other[0], other[1]) and not np.array_equal(other[1], other[2])
    assert not np.array_equal(other[0], PICTURE)


def test_faults_come_in_their_share_and_keep_the_boxes():
    rules, box = StreamRules(2, faults=0.5), np.array([0.1, 0.2, 0.3, 0.4])
    crop = LabelledCrop(np.concatenate([PICTURE, PICTURE], axis=2), box)
    harmed = 0
    for index in range(200):
        template, search = rules.change([crop, crop], (1, 0, 1, index))
        assert search.box is box and np.array_equal(template.image, crop.image)
        harmed += not np.array_equal(search.image, crop.image)
    assert 75 <= harmed <= 125
