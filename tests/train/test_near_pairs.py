"""Pairs with masks, as Alpha-Refine learns from: which sequences and frames are drawn, how they are cut."""

import json
from pathlib import Path

import cv2
import golden
import numpy as np
import pytest
import torch

from lib.core.errors import InputError
from lib.core.view import BLACK, place_stretched
from lib.datasets.mask import Masks
from lib.datasets.sequence import FileFrames, Frames, Sequence
from lib.datasets.still_images import StillImages
from lib.train.data.augment import CropRecipe
from lib.train.data.loader import PairDataset
from lib.train.data.masked_crops import MaskedCrops
from lib.train.data.modality import StreamRules
from lib.train.data.near_pairs import NearPairs, VideoDraw
from lib.train.data.sample import collate
from lib.train.data.sampler import NoPair

GEOMETRY = json.loads((golden.folder("alpha_refine") / "golden_alpharefine_geometry.json").read_text())
SIZE = (60, 80)  # height and width of the frames below


class Scene(Frames):
    """A grey rectangle with a bright ellipse in it, the target."""

    modalities = ("visible",)

    def __init__(self, boxes):
        self.boxes = boxes

    def __len__(self):
        return len(self.boxes)

    def __getitem__(self, index):
        image = np.full((*SIZE, 3), (60, 90, 120), np.uint8)
        image[ellipse(self.boxes[index])] = (250, 150, 200)
        return [image]


class Ellipses(Masks):
    def __init__(self, boxes):
        self.boxes = boxes

    def __getitem__(self, index):
        return np.where(ellipse(self.boxes[index]), 255, 0).astype(np.uint8)


def ellipse(box):
    x, y, w, h = (int(value) for value in box)
    canvas = np.zeros(SIZE, np.uint8)
    if w:
        cv2.ellipse(canvas, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, 255, -1)
    return canvas > 0


def video(length=20, rows=None, *, masks=False, **known):
    boxes = np.zeros((length, 4))
    boxes[list(range(length) if rows is None else rows)] = [20, 15, 31, 21]
    return Sequence("s", Scene(boxes), boxes, masks=Ellipses(boxes) if masks else None, **known)


def stills(boxes, size=(80, 60), number=1):
    boxes = np.array(boxes, float)
    return StillImages(
        Path("x"), ["a.jpg"] * number, np.zeros(len(boxes), int), boxes, np.zeros(len(boxes), int), [""],
        np.array([size] * number),
    )  # fmt: skip


def pairs(*datasets, interval=50, ratios=None, least=0.0):
    ratios = np.array(ratios or [1] * len(datasets), float)
    return NearPairs(VideoDraw(datasets, ratios / ratios.sum(), least), interval)


def drawn(sampler, number=600):
    rng = np.random.default_rng(3)
    return [sampler.draw(rng) for _ in range(number)]


def test_search_frames_are_near_in_both_orders_and_may_be_the_template():
    found = drawn(pairs([video(200)], interval=7), 3000)
    distance = np.array([pair.search - pair.template for pair in found])
    assert distance.min() == -7 and distance.max() == 7 and (distance == 0).mean() == pytest.approx(1 / 15, abs=0.02)
    assert {pair.template for pair in found} == set(range(200))
    tenths = drawn(pairs([video(40, annotated=np.arange(0, 400, 10))], interval=19))
    assert {abs(pair.search - pair.template) for pair in tenths} == {0, 1}, "distances are of frames, not of rows"


def test_videos_need_visible_frames_and_length():
    """More than four visible frames; 20 annotated ones, or 2 with masks."""
    for bad in (video(19), video(40, range(4)), video(4, masks=True), video(30, visible_share=np.zeros(30))):
        with pytest.raises(NoPair, match="more than 4 visible frames"):
            drawn(pairs([bad]), 1)
    assert len(drawn(pairs([video(20)]), 9)) == len(drawn(pairs([video(5, masks=True)]), 9)) == 9
    hidden = video(30, visible_share=np.linspace(0, 1, 30))
    assert {pair.template for pair in drawn(pairs([hidden]))} == set(range(1, 30))
    assert {pair.search for pair in drawn(pairs([hidden], least=0.5))} == set(range(15, 30))


def test_an_image_is_drawn_twice_unless_its_object_fills_it():
    found = drawn(pairs(stills([[0, 0, 80, 60], [0, 0, 79, 60], [4, 5, 6, 7]])))
    assert {pair.sequence.boxes[0, 3] for pair in found} == {60, 7}, "not the first"
    assert {pair.sequence.boxes[0, 2] for pair in found} == {79, 6} and all(p.search == p.template == 0 for p in found)


def test_sets_are_drawn_by_their_ratio():
    found = drawn(pairs([video(20)], stills([[4, 5, 6, 7]]), ratios=[1, 3]), 2000)
    assert np.mean([isinstance(pair.sequence.frames, FileFrames) for pair in found]) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("case", GEOMETRY["transform"], ids=str)
def test_labels_are_mapped_as_the_published_code_does(case):
    view = place_stretched(np.array(case["box_extract"]), 2.0, 256, BLACK, rounding=np.ceil, blind=1)
    x, y, w, h = view.to_crop(np.array(case["box_in"])) * 256
    corners = np.clip([x, y, x + w, y + h], 0, 256)
    expected = np.array(case["out_xywh"])
    np.testing.assert_allclose(corners, [*expected[:2], *(expected[:2] + expected[2:])], atol=2e-4)


def crops(template=(0.0, 0.0), search=(0.25, 0.25), **options):
    options = {"grey": 0.0, "brightness": 0.0} | options
    return MaskedCrops(CropRecipe(2.0, 64, *template), CropRecipe(2.0, 64, *search), **options)


def test_mask_box_and_image_show_the_same_thing():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sampler = pairs([video(8, masks=True)])
        found = crops()(sampler.draw(rng), lambda s, row, k: s.frames[row][0], rng)
        assert found.has_mask and found.mask.shape == (64, 64) and found.search.image.shape == (64, 64, 3)
        bright = found.search.image[..., 0] > 155
        assert (bright == (found.mask > 127)).mean() > 0.99
        x, y, w, h = found.search.box * 64
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(np.clip([x, y, x + w, y + h], 0, 64), seen, atol=3.5)
        np.testing.assert_allclose(found.template.box * 64, [15.5, 15.5, 32, 32], atol=0.6)


def test_search_regions_are_jittered_and_brightened_and_templates_are_not_jittered():
    rng, sampler = np.random.default_rng(0), pairs([video(20)])
    read = lambda s, row, k: s.frames[row][0]  # noqa: E731
    many = [crops(brightness=0.2)(sampler.draw(rng), read, rng) for _ in range(400)]
    boxes = np.array([one.search.box for one in many])
    assert np.log(boxes[:, 2:]).std(0) == pytest.approx([0.25, 0.25], abs=0.05)
    assert len({tuple(one.template.box) for one in many}) == 1
    levels = np.array([[one.template.image[0, 0, 0], one.search.image[0, 0, 0]] for one in many])
    assert levels[:, 0].min() == 48 and levels[:, 0].max() == 72 and abs(np.corrcoef(levels.T)[0, 1]) < 0.2
    assert not any(one.has_mask or one.mask.any() for one in many)
    plain = crops(search=(0, 0), grey=1.0)(sampler.draw(rng), read, rng)
    assert all((crop.image[..., :1] == crop.image).all() for crop in (plain.template, plain.search))


def test_a_batch_says_which_pairs_have_masks():
    sampler = pairs([video(8, masks=True)], [video(20)])
    samples = PairDataset(sampler, crops(), StreamRules(1), seed=(1, 0))
    batch = collate([samples[1, index] for index in range(8)]).batch
    assert batch.mask.shape == (8, 64, 64) and batch.mask.dtype == torch.uint8 and batch.has_mask.dtype == torch.bool
    assert 0 < batch.has_mask.sum() < 8 and torch.equal(batch.mask.flatten(1).any(1), batch.has_mask)
    again = collate([samples[1, index] for index in range(8)]).batch
    assert torch.equal(again.search, batch.search) and batch.positive is None
    assert batch.apply(lambda part: part[:3]).mask.shape == (3, 64, 64)


def test_a_mask_of_another_size_is_one_line():
    class Small(Masks):
        def __getitem__(self, index):
            return np.zeros((5, 6), np.uint8)

    rng, bad = np.random.default_rng(0), video(8, masks=True)
    object.__setattr__(bad, "masks", Small())
    with pytest.raises(InputError, match="s: frame [1-8]: mask is 6x5, image 80x60"):
        crops()(pairs([bad]).draw(rng), lambda s, row, k: s.frames[row][0], rng)
