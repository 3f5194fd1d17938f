"""Pairs of four kinds: shares, categories, whose object is whose; and how Siamese trackers see them."""

import logging
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.view import context_side, mean_colour, place_with_context
from lib.datasets import DATASETS
from lib.datasets.sequence import VISIBLE, AnnotatedObjects, Collection, Frames, Sequence
from lib.datasets.usable import usable_rows
from lib.models.base import PAIR_KINDS
from lib.train.data.blur import cross_kernel, motion_kernel
from lib.train.data.catalogue import SHIPPED, Catalogue, read_aliases
from lib.train.data.context import COLOURS, ContextCrops, ContextRecipe, shift_colours, to_units
from lib.train.data.loader import build_loader
from lib.train.data.pair_kinds import OTHER_CATEGORY, SAME_CATEGORY, STILL, VIDEO, PairKinds, shows_target
from lib.train.data.sample import read_batches
from lib.train.data.sampler import Pair

SHARES = [0.6, 0.2, 0.12, 0.08]


@dataclass(frozen=True)
class Blocks(Frames):
    """Grey frames in which each thing is a block of its own colour."""

    places: tuple[tuple[tuple[int, int, int, int], int], ...]  # boxes xywh with a grey level each
    length: int = 6
    size: tuple[int, int] = (320, 240)
    modalities: tuple[str, ...] = (VISIBLE,)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        image = np.full((self.size[1], self.size[0], 3), 40, np.uint8)
        for (x, y, w, h), level in self.places:
            image[y : y + h, x : x + w] = level
        return [image]


def track(category, video="", places=(((100, 90, 40, 30), 200),), own=0, length=6, **known):
    """One of the things of a video; its boxes stay where they are."""
    boxes = np.array([place for place, _ in places], float)
    objects = [[frame, number, *box] for frame in range(length) for number, box in enumerate(boxes)]
    objects = AnnotatedObjects(np.array(objects), own) if video else None
    frames = Blocks(tuple(places), length)
    name = f"{category}-{video}-{own}"
    own_boxes = np.repeat(boxes[own][None], length, 0)
    return Sequence(name, frames, own_boxes, category=category, video=video, objects=objects, **known)


class StillImages(Collection):
    """A still set from ready sequences."""

    still = True

    def __init__(self, sequences):
        self.sequences = sequences

    def __len__(self):
        return len(self.sequences)

    @property
    def categories(self):
        return [sequence.category for sequence in self.sequences]

    def make(self, index):
        return self.sequences[index]


def sampler(datasets, *, names=None, aliases=None, batch=20, shares=SHARES, intervals=None):
    names = names or [f"set{number}" for number in range(len(datasets))]
    catalogue = Catalogue(datasets, names, aliases)
    return PairKinds(catalogue, [1] * len(datasets), intervals or [3] * len(datasets), shares=shares, batch=batch)


def videos(count=4):
    return [track(category, f"{category}{k}") for category in ("cat", "dog", "car") for k in range(count)]


def draws(pairs, kind, number=400, seed=0):
    rng = np.random.default_rng(seed)
    return [pairs.draw(rng, kind) for _ in range(number)]


def test_every_batch_has_the_mix_and_an_epoch_has_the_shares():
    pairs, batches = sampler([videos()], batch=20), []
    for step in range(100):
        batches.append(Counter(pairs.kind((42, 0), 1, 20 * step + slot) for slot in range(20)))
    for counts in batches:
        assert all(counts[kind] in (np.floor(20 * share), np.ceil(20 * share)) for kind, share in enumerate(SHARES))
    total = sum(batches, Counter())
    np.testing.assert_allclose([total[kind] / 2000 for kind in range(4)], SHARES, atol=0.004)
    small = sampler([videos()], batch=3)
    counts = Counter(small.kind((42, 0), 1, index) for index in range(3000))
    np.testing.assert_allclose([counts[kind] / 3000 for kind in range(4)], SHARES, atol=0.02)


def test_processes_have_the_mix_each_and_epochs_differ():
    pairs = sampler([videos()], batch=10)
    pairs.processes = 2
    kinds = [[pairs.kind((1, 0), 1, 2 * turn + process) for turn in range(10)] for process in (0, 1)]
    for own in kinds:
        assert Counter(own)[VIDEO] == 6 and Counter(own)[STILL] == 2
    first, second = ([pairs.kind((1, 0), epoch, index) for index in range(400)] for epoch in (1, 2))
    assert first != second and first == [pairs.kind((1, 0), 1, index) for index in range(400)]


def test_positive_pairs_show_the_target_again():
    pairs = sampler([videos(), StillImages([track("cup", "image", length=2)])], intervals=[2, 1])
    video = draws(pairs, VIDEO)
    assert {abs(pair.template - pair.search) for pair in video} == {1, 2}
    assert {pair.template - pair.search for pair in video} == {-2, -1, 1, 2}
    assert all(pair.found is None and pair.kind == VIDEO and pair.category != "set1:cup" for pair in video)
    still = draws(pairs, STILL, 50)
    assert all(pair.template == pair.search and pair.category == "set1:cup" for pair in still)
    only_videos = draws(sampler([videos()]), STILL, 50)
    assert all(pair.template == pair.search and pair.found is None for pair in only_videos)


def test_negative_pairs_are_of_the_category_that_they_say():
    for kind in (SAME_CATEGORY, OTHER_CATEGORY):
        for pair in draws(sampler([videos()]), kind):
            assert pair.kind == kind and pair.found is not None and pair.found is not pair.sequence
            assert (pair.found.category == pair.sequence.category) == (kind == SAME_CATEGORY)
            assert pair.searched is pair.found and pair.category == f"set0:{pair.sequence.category}"


def test_lonely_category_gets_another_one_instead():
    pairs = draws(sampler([[track("cat", "v1"), track("dog", "v2")]]), SAME_CATEGORY, 50)
    assert {pair.kind for pair in pairs} == {OTHER_CATEGORY}
    with pytest.raises(InputError, match="no pair of the kind 'other_category' in 1000 draws"):
        sampler([[track("cat", "v1")]]).draw(np.random.default_rng(0), OTHER_CATEGORY)


def test_categories_are_drawn_by_the_root_of_their_size():
    data = [track("many", f"m{k}") for k in range(81)] + [track("few", f"f{k}") for k in range(9)]
    counts = Counter(pair.category for pair in draws(sampler([data]), VIDEO, 2000))
    assert counts["set0:many"] / 2000 == pytest.approx(9 / 12, abs=0.03)


def test_unknown_categories_give_negatives_of_other_tracks():
    data = [track("", f"v{k}") for k in range(3)]
    for pair in draws(sampler([data]), SAME_CATEGORY, 50):
        assert pair.kind == OTHER_CATEGORY and pair.found is not pair.sequence


def test_equal_words_of_two_sets_are_told_apart_only_by_a_table(tmp_path):
    data = [[track("person", "a"), track("cup", "b")], [track("n1", "c"), track("n2", "d")]]
    alone = sampler(data, names=["coco17", "imagenetvid"])
    for pair in draws(alone, OTHER_CATEGORY, 200) + draws(alone, SAME_CATEGORY, 200):
        assert (pair.sequence.video in "ab") == (pair.found.video in "ab"), "nobody says that these are not the same"
    path = tmp_path / "table.txt"
    path.write_text("# comment\n\ncoco17 * *\nimagenetvid n1 person\n")
    together = sampler(data, names=["COCO17", "ImageNetVID"], aliases=read_aliases(path))
    found = {(pair.sequence.category, pair.found.category) for pair in draws(together, SAME_CATEGORY, 300)
             if pair.kind == SAME_CATEGORY}  # fmt: skip
    assert found == {("person", "n1"), ("n1", "person")}
    other = {(pair.sequence.category, pair.found.category) for pair in draws(together, OTHER_CATEGORY, 300)}
    assert ("person", "n2") in other and not {("person", "n1"), ("n1", "person")} & other
    path.write_text("coco17 person\n")
    with pytest.raises(InputError, match="line 1: expected data set, category and common name"):
        read_aliases(path)


def test_shipped_table_of_categories_is_whole():
    table = read_aliases(SHIPPED)
    assert {name for name, _ in table} <= set(DATASETS)
    assert len([1 for name, label in table if name == "imagenetvid"]) == 30
    assert table["imagenetvid", "n02402425"] == "cow" and table["coco17", "*"] == "*"


def test_rows_of_no_use_are_left_out():
    boxes = np.array(
        [[10, 10, 20, 20], [10, 10, 9, 40], [0, 0, 0, 0], [-15, 10, 20, 20], [300, 10, 30, 30], [5, 5, 30, 30]]
    )
    share = np.array([1, 1, 1, 1, 1, 0.3])
    video = Sequence("a", Blocks((), 6), boxes.astype(float), visible_share=share, size=(320, 240))
    assert usable_rows(video, 0.6).tolist() == [0, 4] and usable_rows(video, 0.25).tolist() == [0, 4, 5]


NEAR = (((100, 90, 40, 30), 200), ((150, 90, 40, 30), 120))  # two things side by side
FAR = (((5, 5, 16, 12), 200), ((280, 210, 16, 12), 120))


def test_object_beside_the_target_is_no_negative_but_a_distant_one_is():
    near = [track("cat", "v", NEAR, own) for own in (0, 1)]
    far = [track("cat", "v", FAR, own) for own in (0, 1)]
    assert shows_target(near[0], near[1], 0) and not shows_target(far[0], far[1], 0)
    assert shows_target(near[0], track("cat", "", NEAR, 1), 0)  # nothing is known about where the target is
    pairs = draws(sampler([[*near, track("dog", "w")]]), SAME_CATEGORY, 200)
    assert {pair.kind for pair in pairs} == {OTHER_CATEGORY}
    assert SAME_CATEGORY in {pair.kind for pair in draws(sampler([[*far, track("dog", "w")]]), SAME_CATEGORY, 200)}


def test_other_videos_come_first():
    data = [track("cat", "v", FAR, own) for own in (0, 1)] + [track("cat", f"w{k}", FAR, 0) for k in range(8)]
    pairs = [pair for pair in draws(sampler([data]), SAME_CATEGORY, 600) if pair.sequence.video == "v"]
    assert len(pairs) > 50 and np.mean([pair.found.video == "v" for pair in pairs]) < 0.02


def config(*changes):
    return load_config("dasiamrpn", "synthetic_small", [
        "TRAIN.NUM_WORKER=0", "TRAIN.BATCH_SIZE=10", "DATA.TRAIN.SAMPLE_PER_EPOCH=120", "DATA.GREY=0",
        "DATA.SEARCH.COLOR=0", "DATA.TEMPLATE.COLOR=0", "DATA.SEARCH.BLUR=0", "DATA.SEARCH.MOTION_BLUR=0", *changes,
    ])  # fmt: skip


def batches(datasets, *changes, stage=0):
    cfg = config("DATA.TRAIN.DATASETS_NAME=[x]", "DATA.VAL.DATASETS_NAME=[x]", *changes)
    return list(read_batches(build_loader(cfg, datasets, stage=stage)))


def test_negative_pairs_never_show_their_own_target():
    """Every thing of every video has a grey level of its own; a target's must not fill the search region."""
    data, levels = [], iter(range(57, 256, 13))  # well above the background
    for k in range(5):
        beside = (70 + 12 * k, 40, 24, 24) if k % 2 else (285, 205, 24, 24)
        places = tuple((place, next(levels)) for place in ((30, 40, 24, 24), beside, (120, 150, 24, 24)))
        data += [track(kind, f"v{k}", places, own) for own, kind in enumerate((f"cat{k}", f"cat{k}", "dog"))]
    area = (24 * 127 / 48) ** 2  # pixels that a whole target fills in a region at the scale of another
    shares = {True: [], False: []}
    for sample in batches([data], "DATA.PAIRS.SHARES=[0.1,0,0.5,0.4]", "DATA.TRAIN.SAMPLE_PER_EPOCH=300"):
        batch = sample.batch
        for template, search, positive in zip(batch.template, batch.search, batch.positive.tolist(), strict=True):
            level = int(template[0, 0, 63, 63])
            shares[positive].append(((search[0, 0].int() - level).abs() < 3).sum().item() / area)
    assert len(shares[False]) > 200 and min(shares[True]) > 0.3
    assert max(shares[False]) < 0.2 * 1.18**2


def test_batch_says_what_it_shows(caplog):
    data = [track("cat", f"v{k}", NEAR, own) for k in range(3) for own in (0, 1)] + [track("dog", "w")]
    with caplog.at_level(logging.INFO):
        samples = batches([data], "DATA.PAIRS.SHARES=[0.5,0.1,0.2,0.2]")
    for sample in samples:
        batch = sample.batch
        assert batch.search.shape == (10, 1, 3, 255, 255) and batch.template.dtype == torch.uint8
        assert torch.equal(batch.positive, batch.kind < 2) and batch.others.shape == (10, 8, 4)
        assert batch.others[~batch.positive].isnan().all()
    told = torch.cat([sample.batch.others[sample.batch.positive] for sample in samples])
    assert told.isfinite().all(2).sum() > 20
    text = caplog.text
    assert f"{PAIR_KINDS[0]} 60, {PAIR_KINDS[1]} 12, {PAIR_KINDS[2]} " in text and "x:cat " in text and "x:dog " in text


def test_samples_follow_from_seed_epoch_and_index_alone():
    first, workers = (batches([videos()], f"TRAIN.NUM_WORKER={number}") for number in (0, 2))
    for one, other in zip(first, workers, strict=True):
        assert one.category == other.category
        for a, b in zip(one.batch, other.batch, strict=True):
            assert a is b is None or torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
    other = batches([videos()], "TRAIN.SEED=7")
    assert not torch.equal(first[0].batch.search_box, other[0].batch.search_box)


@pytest.mark.parametrize("name", ["dasiamrpn_vot_50ep", "dasiamrpn_vot_finetune", "dasiamrpn_big_finetune"])
def test_public_recipes_draw_from_their_sets(name):
    cfg = load_config("dasiamrpn", name)
    found = [
        videos(),
        [track("", "x")],
        StillImages([track("cat", "image", length=2)]),
        StillImages([track("cup", "b", length=2)]),
    ]
    made = PairKinds.from_config(cfg, found[: len(cfg.DATA.TRAIN.DATASETS_NAME)], stage=0)
    for kind in range(4):
        assert kind in {pair.kind for pair in draws(made, kind, 40)}
    assert made.catalogue.common and cfg.MODEL.CORR_SCALE == 1 / 64


def test_lists_that_do_not_go_together_are_one_clear_line():
    for change, words in (
        ("DATA.PAIRS.SHARES=[0.5,0.5]", "give 4, of video, still"),
        ("DATA.PAIRS.SHARES=[0,0,0,0]", "give 4, of video, still"),
        ("DATA.TRAIN.MAX_INTERVALS=[3,4]", "DATA.TRAIN.MAX_INTERVALS: 2 values for 1 data sets"),
    ):
        with pytest.raises(InputError, match=words):
            batches([videos()], change)


def test_every_key_of_a_crop_and_of_a_stage_has_its_own_place():
    keys = {"SHIFT": 3.0, "SCALE": 0.1, "BLUR": 0.2, "MOTION_BLUR": 0.3, "COLOR": 0.4}
    changes = ["DATA.GREY=0.25", "DATA.FLIP=0.75", "DATA.TRAIN.MAX_INTERVALS=[3]", "DATA.VAL.MAX_INTERVALS=[5]"]
    changes += [f"DATA.{part}.DATASETS_{key}" for part in ("TRAIN", "VAL") for key in ("NAME=[x]", "RATIO=[1]")]
    changes += [f"DATA.TEMPLATE.{key}={value}" for key, value in keys.items()]
    cfg = load_config("dasiamrpn", "dasiamrpn_vot", changes)
    crops = ContextCrops.from_config(cfg)
    found = crops.template
    assert [found.shift, found.scale, found.blur, found.motion_blur, found.colour] == list(keys.values())
    assert (crops.grey, crops.flip, crops.search.size) == (0.25, 0.75, cfg.DATA.SEARCH.SIZE)
    assert [PairKinds.from_config(cfg, [videos()], stage=stage).intervals for stage in (0, 1)] == [[3], [5]]


def views(recipe, box, image, seed=0, others=None, **known):
    plain = ContextRecipe(127, 0, 0, 0, 0, 0)
    objects = np.array([[0, 0, *box]] + [[0, k + 1, *other] for k, other in enumerate(others or [])], float)

    class Shown(Frames):
        modalities = (VISIBLE,)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return [image]

    video = Sequence("a", Shown(), np.array([box], float), objects=AnnotatedObjects(objects, 0))
    made = ContextCrops(0.5, plain, recipe, known.get("grey", 0.0), known.get("flip", 0.0))
    return made(Pair(video, 0, 0), lambda sequence, row, reduction: image, np.random.default_rng(seed))


@pytest.mark.parametrize("box", [[140, 100, 40, 40], [100, 90, 60, 60], [30, 20, 40, 40]])
def test_region_that_is_not_drawn_is_the_one_that_tracking_cuts(box):
    """Sizes at which the corners of tracking's squares need no rounding but the usual one, by half a pixel."""
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    box = np.array(box, float)
    seen = views(ContextRecipe(255, 0, 0, 0, 0, 0), box, smooth)
    errors = []
    for shift in np.linspace(0, 1, 5)[:-1]:  # the mean over where a box lies between pixels
        moved = np.concatenate([box[:2] + shift, box[2:]])
        drawn = views(ContextRecipe(255, 0, 0, 0, 0, 0), moved, smooth).search.image.astype(float)
        side = context_side(moved)
        view = place_with_context(moved, side * 255 / 127, 255, 127 / side, mean_colour(smooth))
        errors.append((drawn - cut(smooth, view))[40:215, 40:215].mean(axis=2))
    assert abs(np.mean(errors)) < 0.5 and np.abs(np.mean(errors, axis=0)).mean() < 2.0
    np.testing.assert_allclose(seen.search.box[:2] + seen.search.box[2:] / 2, 0.5, atol=1e-9)
    np.testing.assert_allclose(seen.search.box[2:] * 255, box[2:] * 127 / context_side(box))


def test_boxes_follow_the_pixels():
    recipe = ContextRecipe(255, 64, 0.18, 0, 0, 0)
    box, other = [140, 100, 40, 30], [80, 120, 24, 24]
    image = np.zeros((240, 320, 3), np.uint8)
    image[100:130, 140:180, 0], image[120:144, 80:104, 1] = 255, 255
    shifts = []
    for seed in range(60):
        made = views(recipe, box, image, seed, [other])
        expected = [made.search.box, made.others[0]] if np.isfinite(made.others[0]).all() else [made.search.box]
        for channel, place in enumerate(expected):
            rows, columns = (np.flatnonzero((made.search.image[..., channel] > 127).any(axis=k)) for k in (1, 0))
            low, high = place[:2] * 255, (place[:2] + place[2:]) * 255
            # tracking's half pixel of the frame, about 0.8 of the crop, and the edges of pixels
            if (low > 1).all() and (high < 254).all():
                np.testing.assert_allclose([columns[0], rows[0]], low, atol=2.2)
                np.testing.assert_allclose([columns[-1] + 1, rows[-1] + 1], high, atol=2.2)
        shifts.append((made.search.box[:2] + made.search.box[2:] / 2 - 0.5) * 255)
    assert np.abs(shifts).max() < 64 * 1.25 and np.abs(shifts).max() > 40


def test_mirror_and_grey_are_of_the_pair():
    box, other = [140, 100, 40, 30], [90, 110, 24, 24]
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    recipe = ContextRecipe(255, 20, 0.1, 0, 0, 0)
    plain, turned = views(recipe, box, image, 3, [other]), views(recipe, box, image, 3, [other], flip=1.0)
    for one, two in ((plain.template, turned.template), (plain.search, turned.search)):
        assert np.array_equal(one.image, two.image[:, ::-1])
        np.testing.assert_allclose(one.box[0] + one.box[2], 1 - two.box[0])
    np.testing.assert_allclose(turned.others[0, 0], 1 - plain.others[0, 0] - plain.others[0, 2])
    grey = views(recipe, box, image, 3, [other], grey=1.0)
    for view in (grey.template, grey.search):
        assert np.array_equal(view.image[..., 0], view.image[..., 2]) and view.image.std() > 5


def test_target_outside_its_image_is_no_view():
    image = np.zeros((240, 320, 3), np.uint8)
    assert views(ContextRecipe(255, 0, 0, 0, 0, 0), [-30, 100, 40, 40], image) is None


def test_colours_are_shifted_along_the_public_directions():
    pixels = np.full((4, 4, 6), 100, np.uint8)
    shifted = shift_colours(pixels, COLOURS @ np.array([0.0, 0.0, 10.0]))
    assert (shifted[0, 0] == [104, 118, 51, 100, 100, 100]).all() and (pixels == 100).all()
    assert shift_colours(pixels, np.array([200.0, -200, 0]))[0, 0].tolist() == [0, 255, 100, 100, 100, 100]


def test_kernels_blur_and_keep_brightness():
    sizes = set()
    for seed in range(200):
        cross = cross_kernel(np.random.default_rng(seed))
        sizes.add(len(cross))
        middle = len(cross) // 2
        outside = cross.copy()
        outside[middle] = outside[:, middle] = 0
        assert cross.sum() == pytest.approx(1, abs=1e-5) and not outside.any()
        line = motion_kernel(np.random.default_rng(seed))
        y, x = np.mgrid[: len(line), : len(line)] - len(line) // 2
        spread = np.linalg.eigvalsh(np.cov(np.stack([x.ravel(), y.ravel()]), aweights=line.ravel() + 1e-12))
        assert line.sum() == pytest.approx(1, abs=1e-5) and spread[0] < 0.6
        assert np.hypot((x * line).sum(), (y * line).sum()) < 0.2, "the image would be shifted"
    assert min(sizes) == 5 and max(sizes) == 45 and all(size % 2 for size in sizes)


def test_units_of_a_region():
    boxes = to_units(np.array([[10.0, 20, 4, 2]]), np.array([8.0, 16, 10, 20]))
    np.testing.assert_allclose(boxes, [[0.2, 0.2, 0.4, 0.1]])


def test_boxes_beyond_all_reason_are_not_trained_with():
    boxes = np.array([[0, 0, 40, 30], [0, 0, 1e9, 1e9], [0, 0, 40, 5000], [0, 0, 4096, 10.0]])
    assert usable_rows(Sequence("a", [None] * 4, boxes), 0).tolist() == [0, 3]
