"""The parts of DaSiamRPN: arithmetic of the distractors, features of boxes, suppression, sizes of the search."""

import golden_siamrpn as golden
import micro
import numpy as np
import pytest
import torch

from lib.core.errors import InputError
from lib.layers.siamese.roi import match_features, sample_features, suppress
from lib.layers.trunks.alexnet import AlexNetTrunk
from lib.models.siamese.distractors import LearningRule, begin, discriminator, first_frame, similarity
from lib.models.siamese.long_term import LongTerm
from lib.models.siamese.network import Proposals, context_sides


def unit_blocks(rng, count):
    blocks = rng.standard_normal((count, 4, 6, 6))
    return torch.from_numpy(blocks / np.sqrt((blocks**2).sum((1, 2, 3), keepdims=True)))


@pytest.mark.parametrize("series", [True, False])
def test_arithmetic_of_the_paper(series):
    """Equation 4 over three frames, the second without distractors; its first frame is equation 3."""
    expected = golden.read("arithmetic")["distractors"]
    rng = np.random.default_rng(7)
    targets, first, third, proposals = (unit_blocks(rng, count) for count in (3, 2, 3, 5))
    learning, known = LearningRule(alpha=0.5, eta=0.01, series=series, decay=1.0), begin(targets[:1])
    frames = expected["incremental"]["series" if series else "anchored"]
    for t, distractors in enumerate((first, None, third)):
        count = torch.tensor([0.0 if distractors is None else len(distractors)], dtype=torch.float64)
        foes = torch.zeros_like(targets[:1]) if distractors is None else distractors.sum(0, keepdim=True)
        assert learning.weight(known.frames).item() == pytest.approx(frames["beta"][t], abs=1e-12)
        known = learning.add(known, targets[t : t + 1], foes, count, when=torch.tensor([True]))
        scores = similarity(discriminator(known), proposals[None])[0]
        assert scores.tolist() == pytest.approx(frames["q_scores_after_frame"][t], abs=1e-12)
        assert scores.argmax() == frames["argmax"][t]
        if t == 0:
            assert scores.tolist() == pytest.approx(expected["single_frame_scores"], abs=1e-12)
            one_by_one = similarity(targets[:1], proposals[None])[0] - 0.5 * torch.stack(
                [similarity(foe[None], proposals[None])[0] for foe in first]
            ).mean(0)  # equation 2
            torch.testing.assert_close(scores, one_by_one)


def test_frames_that_are_not_sure_change_nothing_and_old_distractors_fade():
    rng = np.random.default_rng(0)
    features = unit_blocks(rng, 6)
    known = begin(features[:2])
    learning = LearningRule(alpha=0.5, eta=0.01, series=False, decay=0.5)
    count = torch.tensor([1.0, 1.0], dtype=torch.float64)
    known = learning.add(known, features[:2], features[2:4], count, when=torch.tensor([True, True]))
    after = learning.add(known, features[2:4], features[4:], count, when=torch.tensor([True, False]))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(after, known, strict=True))
    weight = 0.01 / 0.99
    assert after.mass[0].item() == pytest.approx(0.5 + weight)
    torch.testing.assert_close(after.distractors[0], 0.5 * (0.5 * features[2] + weight * features[4]))


def test_nobody_divides_before_the_first_distractor():
    template = torch.randn(2, 4, 6, 6) * 7
    known = first_frame(template, micro.tracker("dasiamrpn").method.learning)
    norm = template.flatten(1).norm(dim=1)
    torch.testing.assert_close(discriminator(known), template / norm[:, None, None, None])
    torch.testing.assert_close(known.norm, norm)


def test_features_of_a_box_are_those_of_its_template():
    torch.manual_seed(0)
    trunk, image = AlexNetTrunk(0.125).double().eval(), torch.randn(1, 3, 255, 255, dtype=torch.float64)
    with torch.inference_mode():
        features = trunk(image)
        for x, y in ((64, 64), (0, 128), (40, 8)):
            template = trunk(image[..., y : y + 127, x : x + 127])
            box = torch.tensor([[[x + 63 - 127, y + 63 - 127, 63.5, 63.5]]], dtype=torch.float64)
            scale = context_sides(box[..., 2:]) / 127
            assert scale.item() == pytest.approx(1)
            matched = match_features(features, box, scale, 255, trunk)[0, 0]
            torch.testing.assert_close(matched, template[0], rtol=0, atol=1e-13)


TRUNK = AlexNetTrunk(0.125)  # where its features are centred is all that counts


def test_features_between_cells_and_beyond_the_border():
    features = torch.arange(32.0).view(1, 2, 4, 4)
    pixels = torch.tensor([[[43.0, 43], [51, 43], [43, 51], [47, 43], [43 + 24, 43 + 24], [0, 0], [500, 43]]])
    sampled = sample_features(features, pixels, TRUNK)
    assert sampled[0, 0].tolist() == pytest.approx([0, 1, 4, 0.5, 15, 0, 3], abs=1e-5)
    assert sampled[0, 1].tolist() == pytest.approx([16, 17, 20, 16.5, 31, 16, 19], abs=1e-5)


def test_points_of_a_cell_are_joined():
    features, boxes = torch.randn(1, 3, 22, 22), torch.tensor([[[3.0, -4.0, 50.0, 60.0]]])
    fine = match_features(features, boxes, torch.tensor([[0.5]]), 255, TRUNK, side=12)[0, 0]
    for largest in (False, True):
        coarse = match_features(features, boxes, torch.tensor([[1.0]]), 255, TRUNK, samples=2, largest=largest)[0, 0]
        cells = fine.unflatten(2, (6, 2)).unflatten(1, (6, 2))
        torch.testing.assert_close(coarse, cells.amax((2, 4)) if largest else cells.mean((2, 4)))


def slow_suppress(boxes, scores, threshold, keep):
    def reach(a, b, k):
        return min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)

    def overlap(a, b):
        shared = max(0, reach(a, b, 0)) * max(0, reach(a, b, 1))
        return shared / (a[2] * a[3] + b[2] * b[3] - shared)

    chosen = []
    for index in sorted(range(len(scores)), key=lambda k: -scores[k]):
        if scores[index] > -np.inf and all(overlap(boxes[index], boxes[k]) <= threshold for k in chosen):
            chosen.append(index)
    return chosen[:keep]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_suppression(threshold):
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.normal(0, 20, (4, 40, 2)), rng.uniform(20, 60, (4, 40, 2))], 2)
    scores = rng.random((4, 40))
    scores[2, 3:] = -np.inf
    scores[3] = -np.inf
    index, valid = suppress(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, 12)
    for k in range(4):
        expected = slow_suppress(boxes[k].tolist(), scores[k], threshold, 12)
        assert index[k][valid[k]].tolist() == expected and valid[k].sum() == len(expected)


@pytest.mark.parametrize(("step", "name"), [(256, "sizes_step_256_max_767"), (512, "sizes_one_step_767")])
def test_sizes_of_the_search_while_lost(step, name):
    expected = golden.read("arithmetic")["long_term"]
    rule = LongTerm(low=0.8, high=0.95, step=step, largest=767, least=263, stride=8)
    sizes = [255]
    for score in expected["scores"][:-1]:
        sizes.append(rule.next_size(sizes[-1], 255, score, cover=10000))
    assert sizes == expected[name]


def test_search_does_not_grow_beyond_the_frame_and_is_always_told_from_the_usual_one():
    rule = LongTerm(low=0.8, high=0.95, step=256, largest=767, least=295, stride=8)
    assert rule.next_size(271, 271, 0.1, cover=400.0) == 399
    assert rule.next_size(399, 271, 0.1, cover=400.0) in (399, 407)
    assert rule.next_size(271, 271, 0.1, cover=100.0) == 295 and rule.is_lost(295) and not rule.is_lost(287)
    assert rule.next_size(295, 271, 0.9, cover=100.0) == 295, "found only above HIGH"
    assert rule.next_size(287, 287, 0.8, cover=1000.0) == 287
    with pytest.raises(InputError, match=r"TEST\.LONG_TERM\.MAX_SIZE: 271 is not above the usual 271"):
        micro.tracker("dasiamrpn-long", "TEST.LONG_TERM.MAX_SIZE=271", "TEST.SEARCH_SIZE=271")
    with pytest.raises(InputError, match=r"TEST\.LONG_TERM\.HIGH: 0\.5 is below LOW 0\.8"):
        micro.tracker("dasiamrpn-long", "TEST.LONG_TERM.HIGH=0.5")


@pytest.mark.parametrize(("likeness", "winner"), [((0.0, 0.5), 0), ((0.0, 0.9), 1), ((-1.0, 0.0), 1)])
def test_score_and_likeness_are_weighed_on_one_scale(monkeypatch, likeness, winner):
    """A similarity from -1 to 1 counts as a value from 0 to 1, as scores are."""
    method = micro.tracker("dasiamrpn", "TEST.DISTRACTOR.GAIN=0.22").method
    boxes = torch.tensor([[[40.0, 40, 20, 20], [120, 120, 20, 20]]])
    ranks = torch.tensor([[0.9, 0.8]])
    patterns = torch.tensor(likeness)[None, :, None, None, None]  # of one channel and one cell
    monkeypatch.setattr(method, "features_of", lambda features, boxes, size: patterns)
    proposals = Proposals(boxes, ranks, torch.ones(1, 2), ranks)
    found = method.find_candidates(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), proposals, 159)
    assert found.winner.tolist() == [winner]
