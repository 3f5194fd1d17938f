"""SiamMask in videos: boxes that fit the mask, the search that does not follow them, targets together and alone."""

import pickle

import cv2
import golden_pysot as pysot
import micro
import micro_golden
import numpy as np
import pytest
import torch

from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.core.sampled_mask import SampledMask, hull_box, same_area_box
from lib.layers.siamese.mask_windows import SCALES, Cells, cut_windows, place_in_region, read_coarse
from lib.models import build_method
from lib.models.siamese.siammask import Prediction
from lib.models.siamese.siammask_method import corners_of
from lib.models.weights import identify, load_state
from lib.test.tracker.crop_tracker import CropTracker

STARTS = [np.array([100.0, 80, 60, 40]), np.array([5.0, 190, 36, 72]), np.array([200.0, 100, 30, 50])]


def calm_tracker(variant, *changes):
    """A tracker whose scores and boxes are not at their limits."""
    network = micro_golden.calm_network(variant)
    with torch.no_grad():
        next(network.backbone.parameters()).mul_(0.01)
    return CropTracker(build_method(network, micro.config(variant, *changes)), "cpu")


def follow(tracker, starts, seeds=range(31, 34)):
    """Targets after each frame."""
    first, *frames = (pysot.frame(seed) for seed in seeds)
    targets, seen = tracker.start([first] * len(starts), starts), []
    for images in frames:
        targets = tracker.track(targets, [images] * len(starts))
        seen.append(targets)
    return seen


@pytest.mark.parametrize(("variant", "source"), [("siammask", "area"), ("siammask-coarse", "mask")])
def test_targets_tracked_together_get_what_they_get_alone(variant, source):
    tracker = calm_tracker(variant, f"TEST.BOX={source}", "TEST.MASK_THRESHOLD=0.4", "TEST.MASK_AREA=1")
    together = follow(tracker, STARTS)
    for place, start in enumerate(STARTS):
        for both, (alone,) in zip(together, follow(tracker, [start]), strict=True):
            np.testing.assert_allclose(both[place].box, alone.box, rtol=0, atol=1e-3)
            np.testing.assert_allclose(both[place].mask.values, alone.mask.values, rtol=0, atol=1e-4)
            np.testing.assert_allclose(both[place].corners, alone.corners, rtol=0, atol=1e-3)


def scripted(source, radius=30.0, *changes):
    """A tracker whose mask is an ellipse in the middle of the search region, and whose box is the anchor there."""
    tracker = micro.tracker("siammask", f"TEST.BOX={source}", "TEST.SEARCH_SIZE=255", *changes)
    network = tracker.method.network
    row, column = np.mgrid[:127, :127] - 63.0
    ellipse = 5 * (1 - (((column + row) / 1.4 / radius) ** 2 + ((column - row) / 1.4 / (radius / 2)) ** 2))

    def answer(memory, search):
        logits = torch.zeros(len(search), 2, 5, 25, 25)
        logits[:, 1, 2, 12, 12] = 9
        return Prediction(logits, torch.zeros(len(search), 4, 5, 25, 25))

    network.forward = answer
    network.masks = lambda prediction, cells: torch.from_numpy(ellipse).float().expand(len(cells.row), -1, -1)
    return tracker


def test_reported_box_fits_the_mask_and_the_search_does_not_follow_it():
    reported, searched = {}, {}
    for source in ("proposal", "mask", "corners", "area"):
        tracker = scripted(source, 30.0, "TEST.MASK=true")
        targets = follow(tracker, STARTS[:1], range(31, 35))
        reported[source] = np.array([step[0].box for step in targets])
        searched[source] = np.array([step[0].state.settings.own for step in targets])
    assert all(np.array_equal(own, reported["proposal"]) for own in searched.values())
    mask, corners, area = (reported[name] for name in ("mask", "corners", "area"))
    centres = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in reported.values()]
    assert all(np.abs(centre - centres[0]).max() < 1.5 for centre in centres)
    assert (corners[:, 2:] > mask[:, 2:] + 5).all(), "the hull of a rotated box is large"
    assert (area[:, 2:] < corners[:, 2:]).all() and (area[:, 2:] > 1).all()
    last = targets[-1][0]
    inside = last.mask.in_frame((240, 320)) > 0.15
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert mask[-1].tolist() == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert cv2.contourArea(last.corners.astype(np.float32)) >= inside.sum() * 0.95
    assert (pickle.loads(pickle.dumps(last)).mask.values == last.mask.values).all()


def test_first_frame_has_a_mask_where_the_search_finds_the_given_target():
    images = pysot.frame(31)
    for shift, masks in ((0.0, "true"), (0.0, "false"), (99.0, "true")):
        tracker = scripted("proposal", 30.0, f"TEST.MASK={masks}")
        network, plain = tracker.method.network, tracker.method.network.forward
        network.forward = lambda *given, shift=shift, plain=plain: plain(*given)._replace(
            deltas=torch.tensor([shift, 0, 0, 0])[:, None, None, None].expand(1, 4, 5, 25, 25)
        )
        (target,) = tracker.start([images], STARTS[:1])
        assert target.box.tolist() == STARTS[0].tolist() and target.state.settings.own is None and target.age == 0
        assert (target.mask is None) == (shift > 0 or masks == "false")
        if target.mask is not None:
            rows, columns = np.nonzero(target.mask.in_frame((240, 320)) > 0.15)
            assert len(rows) > 100 and np.abs([columns.mean() - 130, rows.mean() - 100]).max() < 2


def test_mask_that_is_too_small_leaves_the_proposal():
    for source in ("mask", "corners", "area"):
        ((target,), *_) = follow(scripted(source, 3.0), STARTS[:1])
        ((proposal,), *_) = follow(scripted("proposal", 30.0, "TEST.MASK=false"), STARTS[:1])
        assert np.array_equal(target.box, proposal.box) and proposal.mask is None and proposal.corners is None
        assert np.array_equal(target.corners, corners_of(target.box)) and target.mask is not None


def test_mask_that_is_not_finite_is_none():
    tracker = scripted("mask")
    tracker.method.network.masks = lambda prediction, cells: torch.full((1, 127, 127), torch.nan)
    (target,) = follow(tracker, STARTS[:1])[0]
    assert target.mask is None and target.corners is None and np.isfinite(target.box).all()


def test_corrected_target_goes_on_from_its_box():
    tracker = scripted("mask")
    (target,) = follow(tracker, STARTS[:1])[0]
    (corrected,) = tracker.correct([target], [np.array([20.0, 30, 50, 60])])
    images = pysot.frame(33)
    frame = Frame(images, images[0].shape[:2])
    (view,) = tracker.method.views(corrected, frame)
    assert view.around.tolist() == [20, 30, 50, 60]
    (view,) = tracker.method.views(target, frame)
    assert np.array_equal(view.around, target.state.settings.own)


@pytest.mark.parametrize("size", [(40, 50), (9, 9)])
def test_mask_in_the_frame_is_bilinear_and_zero_outside(size):
    random = np.random.default_rng(0)
    values = random.random((12, 12)).astype(np.float32)
    mask = SampledMask(values, (-3.4, 5.7), (1.3, 0.8), size)
    found = mask.in_frame(size)
    matrix = np.array([[1.3, 0, -3.4], [0, 0.8, 5.7]])
    padded = np.pad(values, 1)
    for y, x in [(6, 0), (7, 3), (8, 8), (5, 2), (8, 5)]:
        u, v = (x + 3.4) / 1.3, (y - 5.7) / 0.8
        left, top = int(np.floor(u)), int(np.floor(v))
        part = padded[top + 1 : top + 3, left + 1 : left + 3].astype(float)
        across = np.array([1 - (u - left), u - left])
        assert found[y, x] == pytest.approx(np.array([1 - (v - top), v - top]) @ part @ across, abs=1e-6)
    near = cv2.warpAffine(values, matrix, size[::-1], flags=cv2.INTER_LINEAR)
    assert np.abs(found - near).max() < 0.1 and found.shape == size
    assert not SampledMask(values, (500.0, 5.0), (1.0, 1.0), size).in_frame(size).any()
    assert SampledMask(values, (500.0, 5.0), (1.0, 1.0), size).box(0.5, 0) is None


def test_boxes_around_a_rotated_one():
    corners = np.array([[10.0, 0], [20, 10], [10, 20], [0, 10]])
    assert hull_box(corners).tolist() == [0, 0, 20, 20]
    np.testing.assert_allclose(same_area_box(corners), [10 - 15.142 / 2, 10 - 15.142 / 2, 15.142, 15.142], atol=1e-3)


def test_windows_of_cells():
    """The window of a cell of the first map is 61 of its rows from four times the cell on, less the margin."""
    maps = torch.arange(125.0).expand(2, 1, 125, 125)
    cells = Cells(torch.tensor([0, 1, 1]), torch.tensor([0, 24, 5]), torch.tensor([24, 0, 12]))
    found = cut_windows(maps, cells, SCALES[0])
    assert found.shape == (3, 1, 61, 61)
    assert found[2, 0, 0, :3].tolist() == [32, 33, 34] and not found[1, 0, -16:].any() and found[1, 0, -17].any()
    assert found[0, 0, 16, -17:].tolist() == [124, *[0] * 16]
    placed = place_in_region(
        torch.ones(2, 127, 127), Cells(torch.arange(2), torch.tensor([0, 24]), torch.tensor([3, 24])), 25
    )
    assert placed.shape == (2, 319, 319) and placed.sum().item() == 2 * 127**2
    assert placed[0, :127, 24:151].all() and placed[1, 192:, 192:].all()
    coarse = torch.randn(2, 9, 5, 5)
    read = read_coarse(coarse, Cells(torch.tensor([1]), torch.tensor([2]), torch.tensor([4])))
    assert read.shape == (1, 127, 127) and read[0, 0, 0] == coarse[1, 0, 2, 4] and read[0, -1, -1] == coarse[1, 8, 2, 4]


def test_pysots_names_and_back():
    model, other = micro.model("siammask"), micro.model("siammask", seed=1)
    named = model.publish("pysot")
    assert set(named) == {key for key, *_ in pysot.schema("siammask_r50_l3")}
    assert identify(named) == identify(model.state_dict()) == "siammask"
    load_state(other, named, "file")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


def test_wrong_files_are_one_line():
    named = micro.model("siammask").publish("pysot")
    with pytest.raises(InputError, match="holds siammask, the configuration asks for siamrpnpp"):
        load_state(micro.model("siamrpnpp"), named, "model.pth")
    with pytest.raises(InputError, match="holds siamrpnpp, the configuration asks for siammask"):
        load_state(micro.model("siammask"), micro.model("siamrpnpp").publish("pysot"), "model.pth")
    with pytest.raises(InputError, match=r"has the unexpected refine_head\.\w+\S* and 31 more"):
        load_state(micro.model("siammask-coarse"), named, "model.pth")
    del named["refine_head.deconv.weight"]
    with pytest.raises(InputError, match=r"lacks refine_head\.deconv\.weight"):
        load_state(micro.model("siammask"), named, "model.pth")


def test_refinement_that_is_not_there_cannot_learn():
    with pytest.raises(InputError, match=r"TRAIN\.LEARN: refinement: MODEL\.MASK coarse has none"):
        micro.model("siammask", "MODEL.MASK=coarse", "TRAIN.LEARN=refinement")
