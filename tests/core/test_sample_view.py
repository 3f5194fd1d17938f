"""Views of ATOM and the DiMP family: published crops, and conversions."""

import golden_discriminative as golden
import numpy as np
import pytest

from lib.core.crop import cut
from lib.core.sample_view import INSIDE, REPEAT, place_sample

CASES = golden.read("superdimp")["sample_patch"]["cases"]


def box_at(position_yx, size=(0.0, 0.0)):
    """A box (xywh) with this position: the centre, where the first pixel's centre is 0."""
    (y, x), (width, height) = position_yx, size
    return np.array([x - (width - 1) / 2, y - (height - 1) / 2, width, height])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['pos_yx']}")
def test_published_crops(case):
    """The crop of an image of floats; tracking cuts whole grey levels."""
    image = golden.image(21, 240, 320)
    inside = case["mode"] == "inside_major"
    view = place_sample(
        box_at(case["pos_yx"]), case["sample_sz"], case["output_sz"], image.shape[:2],
        border=INSIDE if inside else REPEAT, shrinking=case["max_scale_change"] or 1,
    )  # fmt: skip
    (x, y), (width, height) = view.corner, view.extent
    assert [y, x, y + height, x + width] == case["coords_y0x0y1x1"]
    assert golden.worst(cut(image.astype(np.float32), view).transpose(2, 0, 1), case["patch"]) <= 1
    rounded = np.abs(cut(image, view).astype(float) - cut(image.astype(np.float32), view))
    assert rounded.max() <= 1 and cut(image, view).shape == (case["output_sz"], case["output_sz"], 3)


def test_published_box_of_iou_net():
    """The view that the example describes has its scale and its position."""
    for name in ("dimp50", "superdimp", "prdimp50"):
        known = golden.read(name)["iounet_box_example"]
        size, scale = known["img_sample"], known["sample_scale"]
        side = scale * size
        height, width = known["target_sz_hw"]
        box = box_at(known["pos_yx"], (width, height))
        corner = np.array(known["sample_pos_yx"])[::-1] + 0.5 - side / 2
        found = np.concatenate([(box[:2] - corner) / side, box[2:] / side]) * size
        np.testing.assert_allclose(found, known["box_xywh"], atol=1e-4)
        view = place_sample(box, side, size, (480, 640))
        near = view.to_crop(box) * size
        assert np.abs(near - known["box_xywh"]).max() < 4, "the same but for the view's whole pixels and its place"


@pytest.mark.parametrize("border", [REPEAT, INSIDE])
@pytest.mark.parametrize("box", [(30.0, 20.0, 12.0, 17.0), (-5.0, 90.0, 30.0, 8.0), (100.0, 100.0, 300.0, 200.0)])
def test_conversions_are_exact(box, border):
    view = place_sample(np.array(box), 5 * (box[2] * box[3]) ** 0.5, 96, (120, 160), border=border, shrinking=1.5)
    x, y, width, height = view.to_crop(np.array(box))
    np.testing.assert_allclose(view.prior, [width, height])
    np.testing.assert_allclose(view.to_frame(np.array([x + width / 2, y + height / 2, width, height])), box)
    np.testing.assert_allclose(view.to_frame(np.array([0.5, 0.5, 1, 1])), view.region)
    if border == REPEAT:
        assert np.abs([x + width / 2 - 0.5, y + height / 2 - 0.5]).max() < 1.5 / view.extent[0] * view.step


def test_large_views_use_every_other_pixel_from_the_one_under_the_target():
    image = np.arange(60 * 80, dtype=np.float32).reshape(60, 80, 1) % 251
    view = place_sample(box_at((31.0, 40.0)), 48, 20, (60, 80))
    assert (view.step, view.phase, view.extent) == (2, (0, 1), (48, 48))
    rows, columns = view.lines((60, 80))
    assert rows[0] == 31 - 22 and set(np.diff(rows)) == {2} and (columns % 2 == 0).all()
    assert cut(image, view).shape[:2] == (20, 20)
    edge = place_sample(box_at((1.0, 79.0)), 48, 20, (60, 80))
    rows, columns = edge.lines((60, 80))
    assert rows.min() == 1 and columns.max() == 79 and (np.diff(columns) >= 0).all()


@pytest.mark.parametrize("size", [(60, 80), (30, 200)])
def test_inside_views_stay_inside_where_they_fit(size):
    for position in ((2.0, 3.0), (29.0, 79.0)):
        view = place_sample(box_at(position), 28, 28, size, border=INSIDE, shrinking=1.5)
        (x, y), (width, height) = view.corner, view.extent
        assert x >= 0 and y >= 0 and x + width <= size[1] and y + height <= size[0]
