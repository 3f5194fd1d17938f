"""Labels of points and losses of their boxes: numbers of the author's code, and by hand."""

import json

import golden
import pytest
import torch

from lib.layers.losses import side_distance_loss
from lib.layers.siamese.point_labels import EllipseRule, side_distances

POINTS = torch.arange(-96.0, 97, 8)
EVERY = EllipseRule(most_positive=625, most_negative=625, most_foreign=625)
KNOWN = json.loads((golden.folder("siamdma") / "siamdma.json").read_text())
CASES = KNOWN["labels"]["boxes"]


def centred(corners):
    """[4] xyxy of the crop, where 127 is the middle -> [1, 4] cxcywh from it"""
    x1, y1, x2, y2 = corners
    return torch.tensor([[(x1 + x2) / 2 - 127, (y1 + y2) / 2 - 127, x2 - x1, y2 - y1]])


def places(classes, number):
    return torch.nonzero(classes.flatten() == number)[:, 0].tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["box_xyxy"]))
def test_ellipses_are_those_of_the_author(case):
    box = centred(case["box_xyxy"])
    labels = EVERY(POINTS, box)
    assert places(labels.classes, 1) == case["pos_flat"] and len(case["pos_flat"]) == case["n_pos"]
    assert places(labels.classes, -1) == case["ignore_flat"]
    assert len(places(labels.classes, 0)) == case["n_neg"]
    foreign = EVERY(POINTS, box, torch.tensor([False]))
    assert places(foreign.classes, 0) == case["neg_pair_zero_flat"] and not (foreign.classes == 1).any()
    known = case["delta_ltrb"]
    seen = labels.distances[0].flatten()[torch.linspace(0, 2499, 64).long()]
    torch.testing.assert_close(seen, torch.tensor(known["samples"]))
    assert labels.distances.mean().item() == pytest.approx(known["mean"], abs=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["box_xyxy"]))
def test_few_points_count(case):
    box = centred(case["box_xyxy"])
    whole, some = EVERY(POINTS, box).classes, EllipseRule()(POINTS, box).classes
    counts = [len(places(some, number)) for number in (1, 0)]
    assert counts == case["released_counts_after_subsampling"]
    for number in (1, 0):
        assert set(places(some, number)) <= set(places(whole, number))
    foreign = EllipseRule()(POINTS, box, torch.tensor([False])).classes
    assert len(places(foreign, 0)) == min(16, case["n_pos"]) and len(places(foreign, -1)) == 625 - min(
        16, case["n_pos"]
    )


def test_draws_follow_the_box_and_spread_over_the_region():
    boxes = torch.cat([centred(case["box_xyxy"]) for case in CASES] * 2)
    boxes[4:, 0] += 0.01
    positive = torch.tensor([True, False] * 4)
    together = EllipseRule()(POINTS, boxes, positive)
    for k in range(8):
        alone = EllipseRule()(POINTS, boxes[k : k + 1], positive[k : k + 1])
        assert torch.equal(together.classes[k], alone.classes[0])
        assert torch.equal(together.distances[k], alone.distances[0])
    assert places(together.classes[0], 0) != places(together.classes[4], 0)
    drawn = torch.zeros(625)
    for step in range(300):
        drawn += EllipseRule()(POINTS, centred((95 + step / 1000, 95, 159, 159))).classes.flatten() == 0
    free = torch.ones(625, dtype=torch.bool)
    free[CASES[0]["pos_flat"] + CASES[0]["ignore_flat"]] = False
    share = drawn[free] / 300  # 48 of 576
    assert not drawn[CASES[0]["pos_flat"]].any() and share.min() > 0.02 and share.max() < 0.16


def test_points_are_rows_of_the_map():
    labels = EVERY(torch.tensor([-8.0, 0, 8]), torch.tensor([[8.0, -8.0, 10, 10]]))
    assert (labels.classes[0] == 1).nonzero().tolist() == [[0, 2]]
    assert side_distances(torch.tensor([0.0, 8]), torch.tensor([[1.0, 2, 4, 6]]))[0, :, 1, 0].tolist() == [1, 9, 3, -3]


def same_everywhere(values):
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None].expand(1, 4, 2, 2)


@pytest.mark.parametrize(
    ("form", "expected"),
    [("linear_iou", 0.7495315), ("iou", -torch.tensor(401 / 1601).log().item()), ("giou", 0.7495315)],
)
def test_box_loss_of_two_squares(form, expected):
    """Sides of 20 and 40 pixels around one point: the hull is the larger one, so GIoU is IoU."""
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    loss = side_distance_loss(same_everywhere([10] * 4), same_everywhere([20] * 4), everywhere, form)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_hull_counts_in_giou():
    """10 x 10 to the upper left and 10 x 10 to the lower right of a point, 1 pixel of each on the other side."""
    first, second = same_everywhere([9, 9, 1, 1]), same_everywhere([1, 1, 9, 9])
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    loss = side_distance_loss(first, second, everywhere, "giou")
    assert loss.item() == pytest.approx(1 - 5 / 197 + (324 - 196) / 324, abs=1e-6)


@pytest.mark.parametrize("form", ["linear_iou", "iou", "giou"])
def test_points_that_do_not_count_have_no_gradient_and_none_at_all_is_zero(form):
    predicted = torch.rand(2, 4, 5, 5) * 40 + 1
    predicted.requires_grad_()
    truth = side_distances(torch.arange(-16.0, 17, 8), torch.tensor([[0.0, 0, 30, 30], [4.0, 4, 20, 20]]))
    positive = torch.zeros(2, 5, 5, dtype=torch.bool)
    loss = side_distance_loss(predicted, truth, positive, form)
    loss.backward()
    assert loss.item() == 0 and predicted.grad is not None and not predicted.grad.any()
    positive[0, 2, 2] = True
    side_distance_loss(predicted, truth, positive, form).backward()
    assert predicted.grad[0, :, 2, 2].any() and predicted.grad.isfinite().all()
    predicted.grad[0, :, 2, 2] = 0
    assert not predicted.grad.any()


def test_mean_is_over_points_not_over_pairs():
    truth = same_everywhere([20] * 4).expand(2, 4, 2, 2)
    predicted = truth.clone()
    predicted[0] = 10
    positive = torch.tensor([[[True, False], [False, False]], [[True, True], [True, False]]])
    loss = side_distance_loss(predicted, truth, positive, "linear_iou")
    assert loss.item() == pytest.approx(0.7495315 / 4, abs=1e-6)
