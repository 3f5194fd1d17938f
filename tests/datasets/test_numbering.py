"""The order of a folder's images by their names, and the numbers that count them."""

import logging
from itertools import permutations

import pytest

from lib.core.errors import InputError
from lib.datasets.numbering import number_streams, sort_images


@pytest.mark.parametrize(
    "names",
    [
        ["v000000.jpg", "v000001.jpg", "v000010.jpg"],
        ["img9.jpg", "img10.jpg", "img100.jpg"],
        ["1689857631.93.png", "1689857632.01.png", "1689857632.02.png"],
        ["1689857631.5.png", "1689857631.75.png", "1689857632.png", "1689857632.125.png"],
        ["t12.05.png", "t12.5.png", "t13.125.png"],
        ["clip1.9.png", "clip1.10.png", "clip2.1.png"],
        ["day_10-59-56.jpg", "day_11-00-00.jpg", "day_11-00-01.jpg"],
        ["0001_640x480.jpg", "0002_640x480.jpg", "0010_640x480.jpg"],
        ["frame (1).jpg", "frame (2).jpg", "frame (10).jpg"],
        ["a9_2.jpg", "a10_1.jpg", "A11_0.JPG"],
        ["v000102.jpg", "v000103 (1).jpg", "v000104.jpg"],
        ["9v.png", "10v.PNG", "s2_00011.jpeg", "100.bmp"],
    ],
)
def test_order_of_names(names):
    for given in permutations(names):
        assert sort_images("walk", given) == names


def test_last_numbers_are_said_to_decide(caplog):
    with caplog.at_level(logging.WARNING):
        sort_images("walk", ["img9.jpg", "image10.jpg"])
    assert not caplog.records  # one number each: nothing to choose from
    with caplog.at_level(logging.WARNING):
        sort_images("walk", ["9v.png", "s2_00011.png", "10v.png"])
    assert [record.getMessage() for record in caplog.records] == [
        "walk: names of different kinds (9v.png and s2_00011.png); the last number of each is taken as its frame"
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["v000103.jpg", "v000104.jpg", "v000103 (1).jpg"], r"v000103 \(1\).jpg looks like a copy of v000103.jpg"),
        (["v1.jpg", "v2.jpg", "v1 - Copy.jpg"], "v1 - Copy.jpg looks like a copy of v1.jpg; move it out of the folder"),
        (["v1.jpg", "v2.jpg", "Copy of v1.jpg"], "looks like a copy"),
        (["day1_1.jpg", "night1_1.jpg"], "both frame 1; rename one or move it away"),
        (["1.png", "01.png"], "both frame 1"),
        (["1.png", "cover.png"], "cover.png: image name holds no frame number"),
    ],
)
def test_names_without_an_order(names, message):
    with pytest.raises(InputError, match=message):
        sort_images("walk", names)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["v000003.jpg", "v000007.jpg"], [(3,), (7,)]),
        (["0001_640x480.jpg", "0002_640x480.jpg"], [(1,), (2,)]),
        (["2023_0001_9.jpg", "2024_0002_9.jpg", "2024_0003_8.jpg"], [(1,), (2,), (3,)]),
        (["10-59-56.jpg", "10-59-57.jpg"], [(56,), (57,)]),
        (["10-59-56.jpg", "11-00-00.jpg", "11-00-01.jpg"], [(10, 59, 56), (11, 0, 0), (11, 0, 1)]),
        (["7.jpg"], [(7,)]),
    ],
)
def test_numbers_that_count(names, numbers):
    assert number_streams([names]) == [numbers]


def test_streams_are_counted_by_one_column():
    visible, infrared = ["1_100.jpg", "2_230.jpg", "3_310.jpg"], ["1_105.jpg", "3_305.jpg"]
    assert number_streams([visible, infrared]) == [[(1,), (2,), (3,)], [(1,), (3,)]]
