"""Boxes, overlaps, the crop against the public code, and the way from frame to crop and back."""

import golden
import numpy as np
import pytest
import torch

from lib.core import boxes as convert
from lib.core.crop import cut, padding_mask
from lib.core.errors import InputError
from lib.core.view import BLACK, View, place_square

BOX = [10.0, 20.0, 30.0, 60.0]  # xywh; cxcywh 25 50 30 60; xyxy 10 20 40 80

CROPS = [crop for file in golden.TRACKING for crop in golden.read(file)["crops"]]


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (convert.xywh_to_cxcywh, BOX, [25, 50, 30, 60]),
        (convert.cxcywh_to_xywh, [25, 50, 30, 60], BOX),
        (convert.xywh_to_xyxy, BOX, [10, 20, 40, 80]),
        (convert.xyxy_to_xywh, [10, 20, 40, 80], BOX),
        (convert.cxcywh_to_xyxy, [25, 50, 30, 60], [10, 20, 40, 80]),
    ],
)
@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_conversions_for_both_kinds_and_any_batch_shape(function, given, expected, make):
    single = make(given) * 1.0
    assert function(single).tolist() == expected
    many = single[None, None].repeat(2, 1, 1) if make is torch.tensor else np.tile(single, (2, 1, 1))
    result = function(many)
    assert type(result) is type(many) and result.shape == (2, 1, 4)
    assert result[1, 0].tolist() == expected
    assert single.tolist() == given, "arguments are read-only"


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 20, 30, 40], [10, 20, 30, 40]),
        ([-5, -8, 30, 40], [0, 0, 25, 32]),
        ([90, 70, 30, 40], [90, 70, 10, 10]),
        ([-50, -50, 10, 10], [0, 0, 10, 10]),
        ([500, 500, 10, 10], [90, 70, 10, 10]),
        ([50, 40, 2, 3], [50, 40, 10, 10]),
    ],
)
def test_clip_leaves_ten_pixels_in_an_image_of_100x80(box, expected):
    assert convert.clip_box(np.array(box), 80, 100).tolist() == expected


def test_clip_of_many_is_clip_of_each():
    boxes = np.random.default_rng(0).uniform(-50, 150, (7, 3, 4))
    each = [[convert.clip_box(box, 80, 100) for box in row] for row in boxes]
    np.testing.assert_array_equal(convert.clip_box(boxes, 80, 100), each)


def test_overlap_counted_by_hand():
    a = torch.tensor([[0.0, 0, 4, 2], [0, 0, 2, 2], [0, 0, 2, 2]])
    b = torch.tensor([[2.0, 0, 6, 2], [0, 0, 2, 2], [4, 0, 6, 2]])
    giou, iou = convert.generalized_iou(a, b)
    torch.testing.assert_close(iou, torch.tensor([4 / 12, 1.0, 0.0]))
    torch.testing.assert_close(giou, torch.tensor([4 / 12, 1.0, 0 - 4 / 12]))  # the hull is 2/3 full in the last


def test_box_whose_corners_are_swapped_has_no_area():
    giou, iou = convert.generalized_iou(torch.tensor([[0.6, 0.2, 0.4, 0.7]]), torch.tensor([[0.4, 0.4, 0.6, 0.9]]))
    assert iou.item() == 0 and -1 <= giou.item() <= 0


def sample(image, box, factor, size):
    """The crop of the public code, its view, and what of it is not image."""
    view = place_square(box, factor, size, image.shape[:2])
    return cut(image, view), view, padding_mask(view, image.shape[:2])


def view_around(around, scale, size):
    """A square view of `size` pixels at a scale."""
    side = round(size / scale)
    return View(np.array(around, float), (0, 0), (side, side), (size, size), (scale, scale), BLACK)


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: f"{crop['box_xywh']}-{crop['size']}")
def test_crops_of_the_public_code(crop):
    image = np.concatenate(golden.frame(crop["frame_seed"], 2), axis=2)
    pixels, view, _ = sample(image, np.array(crop["box_xywh"]), crop["factor"], crop["size"])
    assert view.scale == (pytest.approx(crop["resize_factor"], rel=1e-9),) * 2
    values = pixels.flatten()[crop["index"]].astype(int)
    assert np.abs(values - crop["value"]).max() <= 1
    assert pixels.mean() == pytest.approx(crop["mean"], abs=0.1)


def test_padding_marks_what_is_not_image():
    image = np.full((60, 80, 3), 200, np.uint8)
    pixels, _, padding = sample(image, np.array([-10.0, 20, 20, 20]), 2.0, 40)  # columns -20 to 20, rows 10 to 50
    assert padding[:, :20].all() and not padding[:, 20:].any()
    assert (pixels[padding] == 0).all() and (pixels[~padding] == 200).all()


def test_crop_that_reaches_the_last_column_blanks_it_as_the_public_code_does():
    image = np.full((60, 80, 3), 200, np.uint8)
    _, _, reaching = sample(image, np.array([50.0, 20, 20, 20]), 2.0, 40)  # columns 40 to 80
    _, _, short = sample(image, np.array([49.0, 20, 20, 20]), 2.0, 40)  # columns 39 to 79
    assert reaching[:, -1].all() and not reaching[:, :-1].any()
    assert not short.any()


@pytest.mark.parametrize("box", [[30.5, 40.25, 20.0, 35.0], [1, 2, 300, 4]])
@pytest.mark.parametrize("size", [128, 255])
def test_frame_to_crop_and_back(size, box):
    scale = size / 137
    view = view_around([100.0, 50, 40, 30], scale, size)
    x, y, w, h = view.to_crop(np.array(box))
    back = view.to_frame(np.array([x + w / 2, y + h / 2, w, h]))
    # The public training code has its crop's centre half a crop pixel before that of the public tracking code.
    np.testing.assert_allclose(back, np.array(box) - [0.5 / scale, 0.5 / scale, 0, 0], atol=1e-9)


def test_centre_of_the_search_region_is_the_last_box():
    view = view_around([100.0, 50, 40, 30], 256 / 140, 256)
    back = view.to_frame(np.array([0.5, 0.5, 40 / 140, 30 / 140]))
    np.testing.assert_allclose(back, view.around, atol=1e-9)
    np.testing.assert_allclose(view.prior, [40 / 140, 30 / 140])
    np.testing.assert_allclose(view.region, [50, -5, 140, 140])


@pytest.mark.parametrize("box", [[5, 5, 0, 9], [5, 5, 9, 0], [5, 5, -3, 9], [5, 5, np.nan, 9], [np.inf, 5, 9, 9]])
def test_box_without_area_is_one_clear_line(box):
    with pytest.raises(InputError, match="has no area: width and height must be above 0") as raised:
        place_square(np.array(box, float), 2.0, 64, (40, 40))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("box", [[500, 5, 9, 9], [-500, 5, 9, 9], [5, 500, 9, 9], [5, -500, 9, 9]])
def test_box_far_outside_is_one_clear_line(box):
    with pytest.raises(InputError, match="lies wholly outside its 40x30 image"):
        place_square(np.array(box, float), 2.0, 64, (30, 40))


def test_image_of_one_column_is_an_error_and_no_crash():
    with pytest.raises(InputError, match="wholly outside"):
        place_square(np.array([0.0, 5, 9, 9]), 2.0, 64, (30, 1))
