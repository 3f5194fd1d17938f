from dataclasses import replace

import micro
import numpy as np
import pytest
import torch

from lib.core.crop import cut
from lib.core.frame import Frame
from lib.core.view import View, context_side, mean_colour, place_square, place_with_context
from lib.datasets.image import shrink
from lib.test.tracker.device_crop import cut_views
from lib.test.tracker.forward_pass import Mode

CPU = torch.device("cpu")
KINDS = ("square", "context", "rectangle", "border")
BOXES = [(60, 50, 30, 20), (2, 3, 25, 40), (150, 110, 45, 30), (70, 20, 9.5, 11.25), (-8, 100, 60, 50)]


def picture(height=150, width=200):
    """Smooth colours, as photographs have."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + k) + k) * np.cos(y / (11 - k)) for k in range(6)]
    return np.stack(waves, axis=2).astype(np.uint8)


FILL = mean_colour(picture())


def place(name, box, frame):
    """A view of 128 or 271 pixels."""
    box = np.array(box, float)
    if name == "square":
        return place_square(box, 4.0, 128, frame, FILL)
    if name == "rectangle":
        corner = tuple(int(value) for value in box[:2] - box[2:])
        extent = tuple(int(value) for value in 3 * box[2:])
        return View(box, corner, extent, (96, 160), (96 / extent[0], 160 / extent[1]), FILL)
    if name == "border":
        return replace(place_square(box, 4.0, 128, frame), fill=None)
    side = context_side(box)
    return place_with_context(box, side * 271 / 127, 271, 127 / side, FILL)


def cut_both(name, boxes, reduction=1):
    """Crops of OpenCV and of the device: [B, S, S, 6] each."""
    image = picture()
    images = np.split(shrink(image, reduction), 2, axis=2)
    frame = Frame(images, image.shape[:2], reduction)
    views = [place(name, box, frame.size) for box in boxes]
    fast = cut_views([(frame, view) for view in views], CPU)
    exact = np.stack([cut(image, view) for view in views])
    return exact, fast.permute(0, 3, 4, 1, 2).flatten(3).numpy()


@pytest.mark.parametrize("name", KINDS)
def test_crops_of_a_batch_are_those_of_opencv_but_for_one_grey_level(name):
    exact, fast = cut_both(name, BOXES)
    difference = np.abs(exact.astype(int) - fast)
    assert difference.max() <= 1
    assert difference.mean() < 0.15


@pytest.mark.parametrize("name", KINDS)
def test_crop_does_not_depend_on_what_else_is_cut(name):
    _, together = cut_both(name, BOXES)
    alone = np.concatenate([cut_both(name, [box])[1] for box in BOXES])
    assert np.abs(together.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("name", KINDS)
def test_reduced_frames_show_the_same_place(name):
    exact, fast = cut_both(name, [(40, 30, 80, 70)], reduction=2)
    assert np.abs(exact.astype(int) - fast).mean() < 6  # what a shift by half a pixel of the crop would do, and more
    shifted = np.abs(exact[:, :, 3:].astype(int) - fast[:, :, :-3]).mean()
    assert np.abs(exact.astype(int) - fast).mean() < 0.5 * shifted


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_reduced_frames_are_off_by_no_part_of_a_pixel(reduction):
    """On a ramp every pixel tells where it was cut: four grey levels are one pixel."""
    x, y = np.meshgrid(np.arange(96), np.arange(96))
    ramp = np.stack([4 * (x - 20), 4 * (y - 20), 0 * x], axis=2).clip(0, 255).astype(np.uint8)
    view = View(np.zeros(4), (30, 34), (40, 40), (40, 40), (1.0, 1.0), FILL[:3])
    frame = Frame([shrink(ramp, reduction)], (96, 96), reduction)
    found = cut_views([(frame, view)], CPU)[0, 0].permute(1, 2, 0).numpy()[4:-4, 4:-4]
    assert np.abs(found.astype(int) - cut(ramp, view)[4:-4, 4:-4]).max() <= 1


def test_window_that_shows_nothing_of_the_image_is_all_fill():
    exact, fast = cut_both("context", [(900, 900, 20, 20)])
    np.testing.assert_array_equal(exact, fast)


@pytest.mark.parametrize("reduction", [1, 2])
def test_images_with_places_of_their_own(reduction):
    """Each image is cut as if its view were the only one."""
    picture_ = picture()
    images = np.split(shrink(picture_, reduction), 2, axis=2)
    frame = Frame(images, picture_.shape[:2], reduction)
    views = [place("context", box, frame.size) for box in BOXES]
    moved = [replace(view, others=((view.corner[0] + 7, view.corner[1] - 11),)) for view in views]
    found = cut_views([(frame, view) for view in moved], CPU)
    for number in range(2):
        alone = [(replace(frame, images=[images[number]]), view.of(number)) for view in moved]
        assert torch.equal(found[:, number], cut_views(alone, CPU)[:, 0])
    plain = cut_views([(frame, view) for view in views], CPU)
    assert torch.equal(found[:, 0], plain[:, 0]) and not torch.equal(found[:, 1], plain[:, 1])


def test_frames_are_decoded_smaller_only_where_nothing_needs_the_whole_one():
    """A template update would cut its template from the reduced frame."""
    image, box = [picture(400, 500)[..., :3]], np.array([100.0, 100, 200, 150])
    found = {}
    for crops, interval in (("exact", 0), ("fast", 0), ("fast", 5)):
        changes = f"TEST.TEMPLATE_UPDATE.INTERVAL={interval}"
        tracker = micro.tracker("siamrpn", changes, mode=Mode(crops=crops))
        (target,) = tracker.start([image], [box])
        found[crops, interval] = tracker.reduction(target)
    assert found == {("exact", 0): 1, ("fast", 0): 2, ("fast", 5): 1}
