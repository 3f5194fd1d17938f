"""Where targets are found: published cases, targets in one batch."""

import golden_discriminative as golden
import numpy as np
import pytest
import torch

from lib.layers.filters.first_samples import FirstSamples, blur_image, rotate_image
from lib.layers.filters.localization import FLAGS, LocalizationRules

DIMP = ("dimp50", "superdimp", "prdimp50")
RULES = LocalizationRules(found=0.25, distractor=0.8, hard=0.5, neighbourhood=2.2, displacement=0.8)


def score_map(case, size, sigma):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    scores = torch.zeros(size, size)
    for peak, row, column in case["peaks_amp_row_col"]:
        scores += peak * torch.exp(-((rows - row).square() + (columns - column).square()) / (2 * sigma**2))
    return case.get("map_factor", 1) * scores


@pytest.mark.parametrize("name", DIMP)
def test_published_cases(name):
    known = golden.read(name)["localisation"]
    setup, cases = known["setup"], known["cases"]
    scores = torch.stack([score_map(case, setup["map_size"], setup["peak_sigma"]) for case in cases])
    if name == "prdimp50":
        scores = scores.flatten(1).softmax(1).view_as(scores)
    rules = LocalizationRules(0.04, 0.8, 0.5, 2.2, 0.8) if name == "prdimp50" else RULES
    side = setup["sample_scale"] * setup["img_sample"]
    size = torch.tensor(setup["target_sz_hw"]).flip(0) / side
    last = (torch.tensor(setup["pos_yx"]) - torch.tensor(setup["sample_pos_yx"])).flip(0) / side + 0.5
    count = len(cases)
    found = rules(scores, size.expand(count, 2), last.expand(count, 2), setup["img_sample"] // 16)
    assert [FLAGS[flag] for flag in found.flag] == [case["flag"] for case in cases]
    np.testing.assert_allclose(found.score, [case["max"] for case in cases], rtol=1e-5)
    moved = (found.place.flip(1) - 0.5) * side
    np.testing.assert_allclose(moved, [case["translation_yx"] for case in cases], atol=1e-3)


def test_the_peak_near_the_last_place_wins_wherever_that_is():
    scores = score_map({"peaks_amp_row_col": [[0.8, 1, 1], [0.75, 17, 17]]}, 19, 1.2)[None]
    size = torch.tensor([[0.1, 0.1]])
    places = {}
    for last in (0.1, 0.5, 0.9):
        found = RULES(scores, size, torch.full((1, 2), last), 18)
        places[last] = (FLAGS[found.flag], *(found.place[0] * 18).round().tolist())
    assert places == {0.1: ("hard_negative", 1, 1), 0.5: ("uncertain", 1, 1), 0.9: ("hard_negative", 17, 17)}


SAMPLES = FirstSamples(8, [[0.5, -0.25]], True, [[1.0, 0.5]], [90.0], 0.5)


def test_first_samples_are_moved_by_what_they_say():
    image = torch.zeros(1, 16, 16)
    image[0, 7:9, 7:9] = 1.0
    noise = torch.tensor([[0.0, 1.0], [0.5, 0.5], [0.75, 0.0]])
    samples, moves = SAMPLES(image, noise)
    assert moves.tolist() == [[0, 0], [2, -1], [-2, 2], [0, 0], [1, -2]] and SAMPLES.draws == 3
    for sample, (down, right) in zip(samples, moves.tolist(), strict=True):
        mass = sample[0] / sample.sum()
        axis = torch.arange(8.0) - 3.5
        assert (mass.sum(1) * axis).sum().item() == pytest.approx(down, abs=1e-4)
        assert (mass.sum(0) * axis).sum().item() == pytest.approx(right, abs=1e-4)
    assert torch.equal(samples[0], image[:, 4:12, 4:12])
    with pytest.raises(ValueError, match="8 pixels"):
        SAMPLES(image[:, :7], noise)


def test_mirroring_blurring_rotating():
    image = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotate_image(image, 90), image.rot90(1, (2, 3)), rtol=0, atol=1e-5)
    torch.testing.assert_close(rotate_image(image, 0), image, rtol=0, atol=1e-5)
    point = torch.zeros(1, 2, 21, 21)
    point[0, 1, 10, 10] = 1
    blurred = blur_image(point, (2.0, 1.0))
    axis = torch.arange(21.0) - 10
    assert not blurred[0, 0].any() and blurred.sum().item() == pytest.approx(1)
    spread = [(blurred[0, 1].sum(k) * axis.square()).sum().item() ** 0.5 for k in (1, 0)]
    assert spread[0] == pytest.approx(2, abs=0.3) and spread[1] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("change", [lambda image: rotate_image(image, 45), lambda image: blur_image(image, (3.0, 1.0))])
def test_half_precision_moves_no_pixel(change, dtype):
    """Half precision does not tell neighbouring columns apart from 256 on: places rounded up lie behind the image."""
    image = torch.rand(1, 1, 300, 300, generator=torch.Generator().manual_seed(0)).to(dtype)
    changed = change(image)
    assert changed.dtype == dtype and torch.equal(changed, change(image.float()).to(dtype))
