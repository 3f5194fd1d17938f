import numpy as np
import pytest

from lib.core.geometry import ContextGeometry, FamilyGeometry, cut_square
from lib.core.rounding import round_half_up

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 6), dtype=np.uint8)
FILL = np.array([1, 2, 3, 4, 5, 6], np.uint8)


def test_square_lies_where_the_siamese_trackers_cut_it():
    # centre 20, side 9: from R(20 - 5) = 15 to 23
    np.testing.assert_array_equal(cut_square(IMAGE, np.array([20.0, 30.0]), 9, 9, FILL), IMAGE[25:34, 15:24])
    np.testing.assert_array_equal(cut_square(IMAGE, np.array([20.0, 30.0]), 8, 8, FILL), IMAGE[26:34, 16:24])  # 15.5 up


def test_outside_has_the_fill_colour_to_the_last_pixel():
    square = cut_square(IMAGE, np.array([2.0, 58.0]), 11, 11, FILL)  # columns -4 to 6, rows 52 to 62
    np.testing.assert_array_equal(square[:8, 4:], IMAGE[52:60, :7])
    np.testing.assert_array_equal(square[8:], np.broadcast_to(FILL, (3, 11, 6)))
    np.testing.assert_array_equal(square[:, :4], np.broadcast_to(FILL, (11, 4, 6)))


@pytest.mark.parametrize("centre", [(-500.0, 30.0), (40.0, 999.0)])
def test_square_wholly_outside_is_all_fill(centre):
    square = cut_square(IMAGE, np.array(centre), 20, 12, FILL)
    np.testing.assert_array_equal(square, np.broadcast_to(FILL, (12, 12, 6)))


def test_context_search_of_twice_the_size_shows_twice_the_region_at_the_same_scale():
    geometry = ContextGeometry(127, 255)
    box = np.array([30.0, 20.0, 20.0, 20.0])  # side sqrt(40 * 40)
    near, far = (geometry.search(IMAGE, box, FILL, size) for size in (255, 511))
    assert near.scale == far.scale == 127 / 40
    assert near.image.shape == (255, 255, 6) and far.image.shape == (511, 511, 6)
    middle = geometry.to_frame(np.array([0.5, 0.5, 63.5 / 511, 63.5 / 511]), box, far.scale, 511)
    np.testing.assert_allclose(middle, box)


def test_small_targets_get_their_own_search_size():
    geometry = ContextGeometry(127, 271, small_share=0.004, small_size=287)
    assert geometry.first_search_size(IMAGE, np.array([0.0, 0, 4.3, 4.3])) == 287
    assert geometry.first_search_size(IMAGE, np.array([0.0, 0, 4.5, 4.5])) == 271


def test_context_clip_keeps_the_centre_in_the_image():
    box = ContextGeometry(127, 271).clip(np.array([-30.0, 50, 20, 300]), IMAGE.shape[:2])
    np.testing.assert_allclose(box, [-10, 30, 20, 60])  # centre (0, 60), height of the image


def test_family_search_of_twice_the_size_is_twice_the_region():
    geometry = FamilyGeometry(64, 128, 2.0, 4.0)
    box = np.array([30.0, 20.0, 10.0, 10.0])
    assert geometry.search(IMAGE, box, FILL, 128).scale == geometry.search(IMAGE, box, FILL, 256).scale == 128 / 40


def test_halves_round_up():
    assert [round_half_up(value) for value in (0.5, 1.5, -0.5, -1.5, 0.49)] == [1, 2, 0, -1, 0]


def test_corners_in_the_wrong_order_are_no_size():
    geometry = FamilyGeometry(64, 128, 2.0, 4.0, size_rate=0.3)
    size = geometry.settle_size(np.array([-0.2, 0.25]), np.array([0.25, 0.25]), np.ones(2))
    np.testing.assert_allclose(size, [0, 0.25])
    given = np.array([-0.2, 0.1])
    assert FamilyGeometry(64, 128, 2.0, 4.0).settle_size(given, np.array([0.25, 0.25]), np.ones(2)) is given
