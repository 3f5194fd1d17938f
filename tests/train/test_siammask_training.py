"""SiamMask's training: masks of a search region, cells that count, the loss, what stands still, overfitting."""

import math
from types import SimpleNamespace

import micro
import numpy as np
import pytest
import scenes
import torch

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.datasets import DATASETS
from lib.layers.siamese.anchor_labels import Labels
from lib.layers.siamese.mask_windows import Cells, label_windows
from lib.models import build_model
from lib.models.base import PairBatch
from lib.models.siamese.siammask_training import MaskLabels, MaskTraining
from lib.train.data.context import mirror
from lib.train.data.masked_crops import MaskedContextCrops
from lib.train.data.sampler import Pair


def rules(**changes):
    return MaskTraining(**{"weight": 1.0, "most": 4, "refinement_alone": False, **changes})


def test_label_of_a_cell_is_its_window_of_the_mask():
    masks = torch.zeros(2, 255, 255, dtype=torch.uint8)
    masks[0, 64:191, 80:207], masks[1, :20, :30] = 255, 255
    cells = Cells(torch.tensor([0, 0, 1]), torch.tensor([12, 13, 0]), torch.tensor([14, 14, 0]))
    labels = label_windows(masks, cells)
    assert labels[0].all() and not labels[1, -8:].any() and labels[1, :-8].all()
    assert labels[2].sum() == 20 * 30 and labels[2, 32:52, 32:62].all()


def test_cells_that_count_have_a_positive_anchor_and_their_pair_a_mask():
    classes = torch.full((3, 5, 25, 25), -1)
    for place in ((0, 1, 3, 4), (0, 2, 3, 4), (0, 0, 7, 8), (1, 0, 5, 5), (2, 4, 9, 9)):
        classes[place] = 1
    classes[1, 0, 6, 6] = 0
    batch = PairBatch(*[torch.zeros(3)] * 4, mask=torch.zeros(3, 255, 255, dtype=torch.uint8),
                      has_mask=torch.tensor([True, False, True]))  # fmt: skip
    chosen = rules().choose(Labels(classes, torch.zeros(0), torch.zeros(0)), batch)
    found = {tuple(int(part[k]) for part in chosen.cells) for k in torch.nonzero(chosen.counts)[:, 0]}
    assert found == {(0, 3, 4), (0, 7, 8), (2, 9, 9)} and len(chosen.counts) == 3 * 4


def test_loss_by_hand():
    inside = torch.zeros(2, 127, 127, dtype=torch.bool)
    inside[0, :, :20] = True
    labels = MaskLabels(Cells(*[torch.zeros(2, dtype=torch.int64)] * 3), torch.tensor([True, False]), inside)
    logits = torch.full((2, 127, 127), 2.0)
    loss, overlap = rules(weight=3.0)(logits, labels)
    share = 20 / 127
    expected = share * math.log1p(math.exp(-2)) + (1 - share) * math.log1p(math.exp(2))
    assert loss.item() == pytest.approx(3 * expected, rel=1e-5)
    assert overlap.tolist() == pytest.approx([share, 1])
    none = labels._replace(counts=torch.tensor([False, False]))
    assert rules()(logits, none)[0].item() == 0 and rules()(logits, none)[1].tolist() == [0, 0]


def test_pairs_without_masks_are_refused_in_words():
    with pytest.raises(InputError, match="SiamMask learns from pairs with masks"):
        micro.model("siammask").step(micro.batch("siammask")._replace(mask=None))


def test_weight_scales_the_losses_of_masks_alone():
    batch, seen = micro.batch("siammask"), []
    for weight in (1, 3):
        with torch.no_grad():
            seen.append(micro.model("siammask", f"TRAIN.MASK_WEIGHT={weight}").step(batch)[0])
    assert set(seen[0]) == {"cls", "loc", "mask", "refined"}
    for name, value in seen[0].items():
        assert seen[1][name].item() == pytest.approx(value.item() * (3 if name in ("mask", "refined") else 1), rel=1e-4)


def test_while_the_refinement_learns_everything_else_stands_still():
    model = micro.model("siammask-refinement").train()
    model.set_epoch(20)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([part for part in model.parameters() if part.requires_grad], lr=0.1)
    losses, figures = model.step(micro.batch("siammask-refinement"))
    assert set(losses) == {"refined"} and {"iou", "refined_iou"} <= set(figures)
    sum(losses.values()).backward()
    optimizer.step()
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"refine_head"}


@pytest.mark.parametrize("name", ["siammask_r50_l3", "siammask_r50_l3_base"])
def test_recipes_name_what_there_is(name):
    cfg = load_config("siammask", name)
    assert {one.lower() for one in [*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME]} <= set(DATASETS)
    assert (cfg.TRAIN.LR, cfg.TRAIN.MASK_WEIGHT, cfg.TRAIN.SCHEDULER.FINAL_SHARE) == (0.005, 36, 0.5)


class Masks:
    """The pixels of `box`."""

    def __init__(self, box, size=(200, 300)):
        self.box, self.size = box, size

    def __getitem__(self, index):
        mask = np.zeros(self.size, np.uint8)
        x, y, w, h = map(int, self.box)
        mask[y : y + h, x : x + w] = 255
        return mask


def sequence(masks):
    box = np.array([[120.0, 70, 60, 44]] * 2)
    return SimpleNamespace(boxes=box, objects=None, masks=masks, name="x", frame_of=lambda row: row)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_mask_of_a_search_region_lies_where_its_box_does(flip):
    cfg = micro.config("siammask", f"DATA.FLIP={flip}", "DATA.SEARCH.SHIFT=20", "DATA.SEARCH.SIZE=255")
    crops, image = MaskedContextCrops.from_config(cfg), np.zeros((200, 300, 3), np.uint8)
    pair = Pair(sequence(Masks([120, 70, 60, 44])), 0, 1)
    for seed in range(4):
        made = crops(pair, lambda sequence, row, reduction: image, np.random.default_rng(seed))
        assert made.has_mask and made.mask.shape == (255, 255)
        rows, columns = np.flatnonzero((made.mask > 127).any(1)), np.flatnonzero((made.mask > 127).any(0))
        found = np.array([columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]) / 255
        np.testing.assert_allclose(found, made.search.box, atol=2.5 / 255)


def test_pairs_without_a_mask_have_an_empty_one_and_a_wrong_size_is_named():
    crops = MaskedContextCrops.from_config(micro.config("siammask", "DATA.FLIP=1"))
    image = np.zeros((200, 300, 3), np.uint8)

    def cut(pair):
        return crops(pair, lambda sequence, row, reduction: image, np.random.default_rng(0))

    known = sequence(Masks([120, 70, 60, 44]))
    for pair in (Pair(sequence(None), 0, 1), Pair(known, 0, 1, known)):
        assert not cut(pair).has_mask and not cut(pair).mask.any()
    with pytest.raises(InputError, match=r"x: frame 2: mask is 9x9, image 300x200; the two must be equal"):
        cut(Pair(sequence(Masks([1, 1, 2, 2], (9, 9))), 0, 1))
    assert mirror(cut(Pair(known, 0, 1))).has_mask


@pytest.mark.slow
def test_eight_pairs_are_learned_by_heart():
    """Boxes and both masks, by a narrow network."""
    torch.manual_seed(0)
    model = build_model(micro.config("siammask", "DATA.SEARCH.SIZE=175", "TEST.SEARCH_SIZE=175", "TRAIN.MASK_CELLS=4"))
    seen = scenes.eight_pairs()
    box = (seen.search_box * 255 - torch.tensor([40.0, 40, 0, 0])) / 175
    search = seen.search[..., 40:215, 40:215].contiguous()
    mask = micro._fill(box, 175)
    batch = PairBatch(seen.template, seen.template_box, search, box, positive=seen.positive, mask=mask)
    batch = batch._replace(template=model.normalize(batch.template), search=model.normalize(batch.search))
    optimizer, ends, last = torch.optim.Adam(model.parameters(), lr=0.005), [], 40
    for step in range(last + 1):
        losses, figures = model.step(batch)
        if step in (0, last):
            means = {name: (figures[name][0] / figures[name][1]).item() for name in ("iou", "mask_iou", "refined_iou")}
            ends.append({name: value.item() for name, value in losses.items()} | means)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    before, after = ends
    assert before["mask"] > 20 and before["refined"] > 20 and before["iou"] < 0.5, before
    assert after["mask_iou"] > 0.65 and after["refined_iou"] > 0.8 and after["iou"] > 0.65, after
