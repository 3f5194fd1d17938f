"""Views that are no squares of the OSTrack code base: with context, of any shape, with repeated borders."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.crop import cut
from lib.core.rounding import round_half_up
from lib.core.view import BLACK, View, place_with_context
from lib.core.warp import warp_region

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 6), dtype=np.uint8)
FILL = np.array([1, 2, 3, 4, 5, 6], np.uint8)


def cut_square(centre, side, size):
    """The square of `side` pixels around a point, as trackers with context cut it."""
    box = np.array([*centre, 0.0, 0.0])
    return cut(IMAGE, place_with_context(box, side, size, size / side, FILL))


def test_square_lies_where_the_siamese_trackers_cut_it():
    # centre 20, side 9: from R(20 - 5) = 15 to 23
    np.testing.assert_array_equal(cut_square([20.0, 30.0], 9, 9), IMAGE[25:34, 15:24])
    np.testing.assert_array_equal(cut_square([20.0, 30.0], 8, 8), IMAGE[26:34, 16:24])  # 15.5 up


def test_outside_has_the_fill_colour_to_the_last_pixel():
    square = cut_square([2.0, 58.0], 11, 11)  # columns -4 to 6, rows 52 to 62
    np.testing.assert_array_equal(square[:8, 4:], IMAGE[52:60, :7])
    np.testing.assert_array_equal(square[8:], np.broadcast_to(FILL, (3, 11, 6)))
    np.testing.assert_array_equal(square[:, :4], np.broadcast_to(FILL, (11, 4, 6)))


@pytest.mark.parametrize("centre", [(-500.0, 30.0), (40.0, 999.0)])
def test_square_wholly_outside_is_all_fill(centre):
    np.testing.assert_array_equal(cut_square(centre, 20, 12), np.broadcast_to(FILL, (12, 12, 6)))


def test_one_modality_is_cut_as_it_is_of_all():
    view = place_with_context(np.array([2.0, 58.0, 0, 0]), 11, 11, 1.0, FILL)
    np.testing.assert_array_equal(cut(IMAGE[..., 3:], view, slice(3, 6)), cut(IMAGE, view)[..., 3:])


def test_a_rectangle_keeps_no_aspect_ratio():
    """FEAR and Alpha-Refine: width and height have scales of their own."""
    box = np.array([30.0, 20.0, 10.0, 20.0])
    view = View(box, (25, 10), (20, 40), (64, 64), (64 / 20, 64 / 40), FILL)
    assert cut(IMAGE, view).shape == (64, 64, 6)
    np.testing.assert_allclose(view.to_frame(np.array([0.5, 0.5, 0.5, 0.5])), box)
    np.testing.assert_allclose(view.prior, [0.5, 0.5])
    np.testing.assert_allclose(view.region, [25, 10, 20, 40])


def test_borders_are_repeated_where_no_colour_is_given():
    view = View(np.zeros(4), (-3, -2), (8, 6), (8, 6), (1.0, 1.0), None)
    expected = np.pad(IMAGE, ((2, 0), (3, 0), (0, 0)), mode="edge")[:6, :8]
    np.testing.assert_array_equal(cut(IMAGE, view), expected)
    beyond = View(np.zeros(4), (90, 10), (5, 5), (5, 5), (1.0, 1.0), None)
    np.testing.assert_array_equal(cut(IMAGE, beyond), np.repeat(IMAGE[10:15, -1:], 5, axis=1))


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_a_region_of_fractions_has_the_colour_of_each_channel_outside(channels):
    image, colour = IMAGE[..., :channels], FILL[:channels]
    warped = warp_region(image, np.array([-5.0, 10, 20, 20]), 20, colour)
    np.testing.assert_array_equal(warped[:, :4], np.broadcast_to(colour, (20, 4, channels)))
    np.testing.assert_array_equal(warped[:, 6:], image[10:30, 1:15])


def test_halves_round_up():
    assert [round_half_up(value) for value in (0.5, 1.5, -0.5, -1.5, 0.49)] == [1, 2, 0, -1, 0]


def test_each_image_has_its_own_place_and_colour():
    view = replace(place_with_context(np.array([20.0, 30, 0, 0]), 9, 9, 1.0, FILL), others=((58, -3),))
    np.testing.assert_array_equal(cut(IMAGE[..., :3], view.of(0)), IMAGE[25:34, 15:24, :3])
    infrared = cut(IMAGE[..., 3:], view.of(1))
    np.testing.assert_array_equal(infrared[3:], IMAGE[:6, 58:67, 3:])
    np.testing.assert_array_equal(infrared[:3], np.broadcast_to(FILL[3:], (3, 9, 3)))
    assert replace(view, others=()).of(1).corner == view.corner and replace(view, fill=BLACK).of(1).fill is BLACK
