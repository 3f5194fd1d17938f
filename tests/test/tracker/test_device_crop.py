import numpy as np
import pytest
import torch

from lib.core.geometry import ContextGeometry, FamilyGeometry
from lib.datasets.image import shrink
from lib.test.tracker.device_crop import Frame, cut_windows

CPU = torch.device("cpu")
GEOMETRIES = {"family": FamilyGeometry(64, 128, 2.0, 4.0), "context": ContextGeometry(127, 271)}
BOXES = [(60, 50, 30, 20), (2, 3, 25, 40), (150, 110, 45, 30), (70, 20, 9.5, 11.25), (-8, 100, 60, 50)]


def picture(height=150, width=200):
    """Smooth colours, as photographs have."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + k) + k) * np.cos(y / (11 - k)) for k in range(6)]
    return np.stack(waves, axis=2).astype(np.uint8)


def cut_both(geometry, boxes, reduction=1):
    """Crops of OpenCV and of the device: [B, S, S, 6] each."""
    image, size = picture(), geometry.search_size
    fill = geometry.fill(image)
    images = np.split(shrink(image, reduction), 2, axis=2)
    frame = Frame(images, image.shape[:2], reduction)
    windows = [geometry.window(np.array(box, float), size, frame.size) for box in boxes]
    fast = cut_windows([frame] * len(boxes), windows, [fill] * len(boxes), size, CPU)
    exact = [geometry.search(image, np.array(box, float), fill, size) for box in boxes]
    assert [crop.scale for crop in exact] == [window.scale for window in windows]
    return np.stack([crop.image for crop in exact]), fast.permute(0, 3, 4, 1, 2).flatten(3).numpy()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_crops_of_a_batch_are_those_of_opencv_but_for_one_grey_level(name):
    exact, fast = cut_both(GEOMETRIES[name], BOXES)
    difference = np.abs(exact.astype(int) - fast)
    assert difference.max() <= 1
    assert difference.mean() < 0.15


@pytest.mark.parametrize("name", GEOMETRIES)
def test_crop_does_not_depend_on_what_else_is_cut(name):
    _, together = cut_both(GEOMETRIES[name], BOXES)
    alone = np.concatenate([cut_both(GEOMETRIES[name], [box])[1] for box in BOXES])
    assert np.abs(together.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("name", GEOMETRIES)
def test_reduced_frames_show_the_same_place(name):
    exact, fast = cut_both(GEOMETRIES[name], [(40, 30, 80, 70)], reduction=2)
    assert np.abs(exact.astype(int) - fast).mean() < 6  # what a shift by half a pixel of the crop would do, and more
    shifted = np.abs(exact[:, :, 3:].astype(int) - fast[:, :, :-3]).mean()
    assert np.abs(exact.astype(int) - fast).mean() < 0.5 * shifted


def test_window_that_shows_nothing_of_the_image_is_all_fill():
    geometry = GEOMETRIES["context"]
    exact, fast = cut_both(geometry, [(900, 900, 20, 20)])
    np.testing.assert_array_equal(exact, fast)
