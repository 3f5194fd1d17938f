"""IIMF lite: one camera absent, which stream is believed, what learns."""

from dataclasses import replace

import micro
import numpy as np
import pytest
import torch
from fake_model import moving_sequence

from lib.core.boxes import cxcywh_to_xyxy, iou_and_union
from lib.core.checkpoint import load_weights
from lib.core.config import load_config
from lib.core.frame import Frame
from lib.core.paths import ROOT
from lib.datasets.camera import keep_camera
from lib.layers.siamese.stream_fusion import find_evidence
from lib.models import build_method, build_model
from lib.models.fear.iimf_lite import Memory, Prediction, is_flat
from lib.models.fear.method import boxes_from_distances
from lib.models.weights import load_state
from lib.test.tracker.crop_tracker import CropTracker

FEAR = load_weights(ROOT / "pretrained_models" / "fear_xs.safetensors")
SEQUENCE = moving_sequence("square", length=5)


@pytest.fixture(scope="module")
def pair():
    """FEAR, and IIMF lite with the same streams and random fusion, both of full size."""
    torch.manual_seed(0)
    one, both = (build_model(load_config(name, "xs")) for name in ("fear", "iimf_lite"))
    load_state(one, FEAR, "fear_xs")
    both.load_state_dict(both.adopt(FEAR), strict=False)
    with torch.no_grad():
        for part in (both.gates, both.shared):
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return one.eval(), both.eval()


def tracker(network, name, *changes):
    return CropTracker(build_method(network, load_config(name, "xs", changes)), "cpu")


def follow(tracker, frames, box):
    (target,) = tracker.start([frames[0]], [box])
    moved = []
    for images in frames[1:]:
        (target,) = tracker.track([target], [images])
        moved.append(target)
    return moved


@pytest.mark.parametrize("kept", ["visible", "infrared"])
def test_one_camera_alone_is_fear_to_the_bit(pair, kept):
    one, both = pair
    single, double = (keep_camera(SEQUENCE, kept, count).frames for count in (1, 2))
    box = SEQUENCE.boxes[0]
    expected = follow(tracker(one, "fear"), [single[k] for k in range(5)], box)
    found = follow(tracker(both, "iimf_lite"), [double[k] for k in range(5)], box)
    whole = follow(tracker(both, "iimf_lite"), [SEQUENCE.frames[k] for k in range(5)], box)
    for a, b in zip(expected, found, strict=True):
        assert a.box.tolist() == b.box.tolist() and a.score == b.score
    assert [target.score for target in whole] != [target.score for target in found]


def test_a_sequence_without_infrared_is_fear_too(pair):
    one, both = pair
    frames, box = [SEQUENCE.frames[k][:1] for k in range(4)], SEQUENCE.boxes[0]
    expected, found = follow(tracker(one, "fear"), frames, box), follow(tracker(both, "iimf_lite"), frames, box)
    assert [target.score for target in expected] == [target.score for target in found]


def test_a_camera_that_fails_is_left_out_from_then_on(pair):
    one, both = pair
    frames = [SEQUENCE.frames[k] for k in range(5)]
    double = tracker(both, "iimf_lite")
    (target,) = double.start([frames[0]], [SEQUENCE.boxes[0]])
    (target,) = double.track([target], [frames[1]])
    infrared = tracker(one, "fear", "TEST.STREAM=infrared")
    (other,) = infrared.start([frames[0]], [SEQUENCE.boxes[0]])
    (other,) = infrared.correct([other], [target.box])
    for images in frames[2:]:
        (target,) = double.track([target], [[np.zeros_like(images[0]), images[1]]])
        (other,) = infrared.track([other], [images])
        assert target.box.tolist() == other.box.tolist() and target.score == other.score


def test_a_camera_that_fails_is_named_once(caplog):
    double, frames = micro.tracker("iimf_lite"), [SEQUENCE.frames[k] for k in range(4)]
    dead = [[visible, np.full_like(infrared, (0, 0, 200))] for visible, infrared in frames]
    follow(double, [frames[0], *dead[1:]], SEQUENCE.boxes[0])
    line = "target 0: the infrared image is of one colour; it is left out while it is"
    assert caplog.messages.count(line) == 1
    caplog.clear()
    follow(double, dead, SEQUENCE.boxes[0])  # absent from the start: said by what reads the frames
    assert line not in caplog.messages


def test_a_new_template_without_one_camera_changes_nothing():
    method = micro.tracker("iimf_lite", "TEST.TEMPLATE_UPDATE.SHARE=0.25").method
    old = Memory(torch.zeros(2, 3, 4, 2, 2), torch.zeros(2, 2), torch.rand(2, 2))
    new = Memory(torch.ones(2, 3, 4, 2, 2), torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.ones(2, 2))
    merged = method.merge_memory(old, new)
    assert merged.features[:, :, 0, 0, 0].tolist() == [[0.25, 0.25, 0.25], [0, 0, 0]]
    assert torch.equal(merged.absent, old.absent) and torch.equal(merged.agreement, old.agreement)


def test_the_template_is_updated_where_both_cameras_show_something():
    tracker = micro.tracker("iimf_lite", "TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SCORE=0.5")
    random = np.random.default_rng(0)
    image, flat = random.integers(1, 256, (60, 80, 3), np.uint8), np.full((60, 80, 3), 9, np.uint8)
    box = np.array([20.0, 20, 20, 20])
    both, alone = tracker.start([[image, image[::-1].copy()], [image, flat]], [box, box])
    frames = {"both": [image, image], "dark": [flat, image]}

    def due(target, name):
        return len(tracker.method.update_views(replace(target, age=2, score=0.6), Frame(frames[name], (60, 80))))

    assert [due(both, "both"), due(both, "dark"), due(alone, "both")] == [1, 0, 0]


def test_streams_of_the_bundled_weights_are_fears(pair):
    weights = load_weights(ROOT / "pretrained_models" / "iimf_lite_xs.safetensors")
    own = {key: value for key, value in weights.items() if key.startswith(("backbone.", "head."))}
    expected = pair[0].state_dict()
    assert own.keys() == expected.keys() and all(torch.equal(own[key], expected[key]) for key in own)


@pytest.mark.parametrize("colour", [(7, 7, 7), (0, 0, 200)])
def test_padding_of_a_flat_image_has_its_colour(colour):
    tracker = micro.tracker("iimf_lite")
    random = np.random.default_rng(0)
    images = [random.integers(1, 256, (60, 80, 3), np.uint8), np.zeros((60, 80, 3), np.uint8)]
    (target,) = tracker.start([images], [np.array([0.0, 0, 20, 20])])
    later = Frame([np.full((60, 80, 3), colour, np.uint8), images[0]], (60, 80))
    (view,) = tracker.method.views(target, later)
    assert view.fill.tolist() == [*colour, 0, 0, 0]


def test_is_flat_looks_at_each_stream():
    images = torch.zeros(2, 2, 3, 8, 8)
    images[0, 0, 1, 3, 3] = 1
    images[1, 1, 2] = 5  # one channel of another colour is flat too
    assert is_flat(images).tolist() == [[False, True], [True, True]]


def test_evidence_by_hand():
    logits = torch.full((1, 2, 8, 8), -8.0)
    logits[0, 0, 2, 2], logits[0, 0, 2, 4], logits[0, 0, 2, 6] = 4.0, 3.0, 1.0  # the second is a neighbour of the first
    logits[0, 1, 2, 2], logits[0, 1, 6, 2] = 2.0, -1.0  # far in one direction is far
    boxes = torch.zeros(1, 2, 4, 8, 8)
    boxes[0, 0, :, 2, 2] = torch.tensor([0.5, 0.5, 0.4, 0.4])
    boxes[0, 1, :, 2, 2] = torch.tensor([0.5, 0.5, 0.4, 0.2])
    found = find_evidence(logits, boxes)[0]
    first = [4 / 4, 1 / 4, 3 / 4, 4 * logits[0, 0].sigmoid().mean().item(), 0.5, 0.5]
    np.testing.assert_allclose(found[0], first, rtol=1e-5)
    np.testing.assert_allclose(found[1, :3], [2 / 4, -1 / 4, 3 / 4], rtol=1e-5)


def test_only_what_is_new_learns():
    network, batch = micro.model("iimf_lite").train(), micro.batch("iimf_lite")
    network.set_epoch(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    losses, figures = network.step(batch)
    sum(losses.values()).backward()
    optimizer.step()
    changed = {
        name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(before[name], value)
    }
    assert changed == {"shared", "gates"}
    assert {"iou", "iou_visible", "iou_infrared", "iou_shared"} <= set(figures)
    assert {"cls", "box", "rank", "shared_cls", "shared_box", "shared_rank"} == set(losses)


def test_max_takes_the_camera_with_the_highest_rank(pair):
    _, both = pair
    method = build_method(both, load_config("iimf_lite", "max"))
    frames = [SEQUENCE.frames[k] for k in range(3)]
    tracker = CropTracker(method, "cpu")
    (target,) = tracker.start([frames[0]], [SEQUENCE.boxes[0]])
    views = [method.views(target, Frame(frames[1], frames[1][0].shape[:2]))]
    pixels = tracker._pixels([Frame(frames[1], frames[1][0].shape[:2])], views)
    prior = torch.tensor([[[0.2, 0.2]]])
    with torch.inference_mode():
        answer = method.search(target.state.memory, pixels, prior)
        maps = answer.prediction
        ranked = [method.rank(maps.stream_logits[:, k], maps.stream_distances[:, k], prior[:, 0]) for k in range(2)]
    best = max(ranked, key=lambda one: one.ranks.max())
    place = best.ranks.argmax()
    assert torch.equal(answer.boxes[0], best.boxes[0, place]) and answer.scores[0] == best.scores[0, place]


def test_targets_of_one_camera_and_of_two_in_one_pass_get_what_they_get_alone(pair):
    _, both = pair
    frames = [SEQUENCE.frames[k] for k in range(3)]
    kinds = [frames, [[visible, np.zeros_like(visible)] for visible, _ in frames]]
    kinds.append([[np.zeros_like(infrared), infrared] for _, infrared in frames])
    double, box = tracker(both, "iimf_lite"), SEQUENCE.boxes[0]
    alone = [follow(double, kind, box)[-1] for kind in kinds]
    targets = double.start([kind[0] for kind in kinds], [box] * 3)
    for index in (1, 2):
        targets = double.track(targets, [kind[index] for kind in kinds])
    for target, expected in zip(targets, alone, strict=True):
        assert target.box.tolist() == expected.box.tolist() and target.score == expected.score


def test_one_camera_is_not_computed_where_it_is_absent(pair, monkeypatch):
    _, both = pair
    seen, forward = [], both.backbone.forward
    monkeypatch.setattr(both.backbone, "forward", lambda images: seen.append(len(images)) or forward(images))
    follow(tracker(both, "iimf_lite"), [SEQUENCE.frames[k][:1] for k in range(3)], SEQUENCE.boxes[0])
    assert seen == [2, 1, 1]


def random_prediction(targets):
    """Maps of 4 x 4 cells, with one cell of each stream above the others."""
    random = torch.Generator().manual_seed(0)
    logits = torch.full((targets, 3, 4, 4), -9.0)
    logits[:, 0, 1, 1] = logits[:, 1, 2, 1] = logits[:, 2, 2, 2] = 9
    distances = 10 + torch.rand(targets, 3, 4, 4, 4, generator=random) * 10
    return Prediction(logits[:, 2], distances[:, 2], logits, logits, distances)


def decide(found, agreement, there, *changes):
    """The answer of a method that finds images in the cameras that `there` says."""
    method = micro.tracker("iimf_lite", *changes).method
    memory = Memory(torch.zeros(len(agreement), 3, 1), torch.zeros(len(agreement), 2), torch.tensor(agreement))
    pixels = torch.zeros(len(agreement), 1, 2, 3, 8, 8, dtype=torch.uint8)
    pixels[:, 0, :, :, 0, 0] = torch.tensor(there)[:, :, None].byte()
    return method.decide(memory, found, pixels, torch.full((len(agreement), 1, 2), 0.4))


def test_a_camera_that_agreed_less_has_no_part_in_the_box():
    found = random_prediction(4)
    there = [[True, True], [True, True], [True, True], [False, True]]
    agreement = [[0.4, 0.9], [0.9, 0.4], [0.5, 0.9], [0.9, 0.4]]
    answer = decide(found, agreement, there, "TEST.AGREEMENT.SHARE=0.5")
    taken = [found.stream_distances[0, 1], found.stream_distances[1, 0], found.distances[2], found.distances[3]]
    expected = boxes_from_distances(torch.stack(taken))[:, :, 2, 2]
    torch.testing.assert_close(answer.boxes, expected)
    assert torch.equal(answer.scores, found.logits[:, 2, 2].sigmoid())


def test_agreement_is_the_mean_overlap_of_a_cameras_own_box_with_the_chosen_one():
    found = random_prediction(2)
    answer = decide(
        found,
        [[0.5, 1.0], [0.5, 1.0]],
        [[True, True], [True, False]],
        "TEST.AGREEMENT.SHARE=0.1",
        "TEST.AGREEMENT.RATE=0.25",
    )
    own = boxes_from_distances(found.stream_distances[0])
    chosen, visible, infrared = (
        cxcywh_to_xyxy(own[k, :, row, column]) for k, row, column in ((2, 2, 2), (0, 1, 1), (1, 2, 1))
    )
    overlaps = [float(iou_and_union(one, chosen)[0]) for one in (visible, infrared)]
    assert all(0 < overlap < 1 for overlap in overlaps)
    expected = [0.75 * 0.5 + 0.25 * overlaps[0], 0.75 + 0.25 * overlaps[1]]
    torch.testing.assert_close(answer.memory.agreement[0], torch.tensor(expected))
    assert answer.memory.agreement[1, 1] == 1  # no image, so nothing is known of it


def test_agreement_is_not_kept_unless_it_counts():
    found = random_prediction(1)
    answer = decide(found, [[0.1, 1.0]], [[True, True]], "TEST.AGREEMENT.SHARE=0")
    assert answer.memory.agreement.tolist() == [[pytest.approx(0.1), 1.0]]
    torch.testing.assert_close(answer.boxes, boxes_from_distances(found.distances)[:, :, 2, 2])


def test_mean_averages_scores_and_weighs_boxes_by_them():
    method = micro.tracker("iimf_lite", "TEST.FUSION=mean").method
    random = torch.Generator().manual_seed(0)
    logits, distances = torch.randn(2, 3, 4, 4, generator=random), torch.rand(2, 3, 4, 4, 4, generator=random) * 40
    found = Prediction(logits[:, 2], distances[:, 2], logits, logits, distances)
    prior, there = torch.tensor([[0.2, 0.2]] * 2), torch.tensor([[True, True], [False, True]])
    ranked = method._mean_scores(found, there, prior)
    a, b = logits[0, :2].sigmoid()
    expected = boxes_from_distances(((a * distances[0, 0] + b * distances[0, 1]) / (a + b))[None])[0].flatten(1).mT
    torch.testing.assert_close(ranked.boxes[0], expected)
    torch.testing.assert_close(ranked.scores[0], ((a + b) / 2).flatten())
    alone = method.rank(logits[:, 1], distances[:, 1], prior)
    assert all(torch.equal(one[1], other[1]) for one, other in zip(ranked, alone, strict=True))


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_a_method_of_one_camera_reads_its_map_alone(fusion):
    """Also where the other camera shows something, as in the pictures that exported graphs are compared on."""
    method = micro.tracker("iimf_lite", f"TEST.FUSION={fusion}").method.make_variant("infrared")
    random = torch.Generator().manual_seed(0)
    sizes = method.template_size, method.search_size
    template, search = (torch.randint(0, 256, (1, 1, 2, 3, side, side), generator=random).byte() for side in sizes)
    memory, prior = method.begin(template, torch.ones(1, 1, 4)), torch.full((1, 1, 2), 0.2)
    found = method.predict(memory, search)
    sink = torch.tensor([0.0, 10, 0])[None, :, None, None]
    found = found._replace(logits=found.logits - 10, stream_logits=found.stream_logits - sink)
    ranked = method.rank(found.logits, found.distances, prior[:, 0])
    answer = method.decide(memory, found, search, prior)
    assert torch.equal(answer.boxes[0], ranked.boxes[0, ranked.ranks.argmax()])
