"""Registration: a known homography between two spectra is found again, unlike pictures are refused."""

import cv2
import numpy as np
import pytest

from lib.core.errors import InputError
from lib.datasets.sequence import INFRARED, VISIBLE, Frames
from lib.test.video.align import _find_block, align, describe
from lib.test.video.homography import estimate_homography, read_homography, scaling, warp, write_homography

WIDTH, HEIGHT = 360, 270


class Pair(Frames):
    """One frame of two pictures."""

    modalities = (VISIBLE, INFRARED)

    def __init__(self, visible, infrared):
        self.images = [visible, infrared]

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.images


def scene(seed):
    """One scene in two spectra: [H, W, 3] uint8 visible and infrared; things share edges, their brightness does not."""
    rng = np.random.default_rng(seed)
    visible, infrared = (np.full((HEIGHT, WIDTH), 128, np.float32) for _ in range(2))
    for _ in range(60):
        place = rng.uniform(0, (WIDTH, HEIGHT), 2)
        corners = (place + rng.uniform(-45, 45, (rng.integers(3, 7), 2))).round().astype(np.int32)
        for image, level in zip((visible, infrared), rng.uniform(20, 235, 2), strict=True):
            cv2.fillPoly(image, [cv2.convexHull(corners)], float(level))
    infrared = cv2.GaussianBlur(infrared, (0, 0), 1.5)
    noisy = [np.clip(image + rng.normal(0, 5, image.shape), 0, 255) for image in (visible, infrared)]
    return tuple(cv2.merge([image.astype(np.uint8)] * 3) for image in noisy)


def camera(scale, turn, shift, tilt=0.0):
    """A homography from a smaller infrared picture, 240 x 200, to the scene."""
    angle = np.radians(turn)
    middle = np.array([[1, 0, WIDTH / 2 + shift[0]], [0, 1, HEIGHT / 2 + shift[1]], [0, 0, 1]])
    turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inner = np.block([[turned, np.zeros((2, 1))], [np.array([[tilt, -tilt, 1.0]])]])
    return middle @ inner @ np.array([[1, 0, -120], [0, 1, -100], [0, 0, 1]])


def corner_error(found, true):
    """Mean distance in visible pixels at the four corners of the infrared picture."""
    corners = np.array([[[0, 0], [240, 0], [0, 200], [240, 200]]], np.float64)
    return np.linalg.norm(
        cv2.perspectiveTransform(corners, found) - cv2.perspectiveTransform(corners, true), axis=2
    ).mean()


@pytest.mark.parametrize(
    "true",
    [
        camera(1.3, 9, (-8, 12)),
        camera(0.9, -3, (20, 5), 1e-4),
        camera(1.7, 1, (5, -3), -1e-4),
    ],
)
def test_known_homography_is_found_again(true):
    visible, infrared = scene(3)
    seen = cv2.warpPerspective(infrared, np.linalg.inv(true), (240, 200), flags=cv2.INTER_AREA)
    found = estimate_homography(Pair(visible, seen))
    assert corner_error(found, true) < 2.5


def test_several_frames_help_where_some_show_little():
    true, (visible, infrared) = camera(1.3, 8, (6, -4)), scene(1)
    blank = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    seen = [cv2.warpPerspective(image, np.linalg.inv(true), (240, 200)) for image in (blank, blank, infrared)]
    assert corner_error(align([blank, blank, visible], seen).matrix, true) < 1.5


@pytest.mark.parametrize("seed", range(1))
def test_unlike_pictures_are_refused(seed):
    with pytest.raises(InputError, match=r"do not agree \(\d+ of \d+ blocks confirmed\); give a homography"):
        estimate_homography(Pair(scene(seed)[0], scene(seed + 10)[1]))


def test_pictures_without_edges_are_refused():
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    with pytest.raises(InputError, match="do not agree"):
        estimate_homography(Pair(flat, flat))


def test_file_keeps_a_homography(tmp_path):
    matrix = camera(1.3, 3, (-8, 12), 1e-4)
    write_homography(tmp_path / "h.txt", matrix)
    np.testing.assert_allclose(read_homography(tmp_path / "h.txt"), matrix, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f g h i", "0 0 0 0 0 0 0 0 0", "1 0 0 0 nan 0 0 0 1"])
def test_wrong_file_is_one_line(tmp_path, text):
    (tmp_path / "h.txt").write_text(text)
    with pytest.raises(InputError, match=r"h.txt: expected nine numbers"):
        read_homography(tmp_path / "h.txt")


def test_missing_file_is_one_line():
    with pytest.raises(InputError, match="nowhere.txt: no such file"):
        read_homography("nowhere.txt")


def test_scaling_of_one_view_at_two_resolutions():
    large = np.zeros((100, 200, 3), np.uint8)
    large[40:60, 80:120] = 255
    small = cv2.resize(large, (100, 50), interpolation=cv2.INTER_AREA)
    back = warp(small, scaling(large, small), (200, 100))
    rows, columns = np.nonzero(back[..., 0] > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 59, 80, 119)


@pytest.mark.parametrize("shift", [(0.4, -0.3), (-0.4, 0.3), (2.3, 1.4)])
def test_blocks_are_found_to_a_fraction_of_a_pixel(shift):
    image = cv2.merge([cv2.GaussianBlur(np.random.default_rng(5).uniform(0, 255, (160, 160)), (0, 0), 3)] * 3)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    moved = cv2.warpAffine(image, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (160, 160), flags=cv2.INTER_CUBIC)
    found = _find_block([describe(image)], [describe(moved)], (80, 80), 8)
    np.testing.assert_allclose(found, shift, atol=0.12)
