"""FEAR: the published numbers, crops, tracking rules, labels and losses, training."""

from dataclasses import replace

import golden_fear
import micro
import numpy as np
import pytest
import torch
from golden_fear import pixels

from lib.core.checkpoint import load_weights
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.frame import Frame, Streams
from lib.core.paths import ROOT
from lib.core.view import place_stretched
from lib.layers.siamese.fear_head import FearMaps, correlate_cells
from lib.models import build_method, build_model
from lib.models.fear.method import boxes_from_distances, cell_points
from lib.models.fear.network import Memory
from lib.models.fear.training import balanced_binary_loss, cells_inside, smoothed_iou_loss
from lib.models.method import TargetAnswer
from lib.models.weights import identify, load_state
from lib.test.tracker.crop_tracker import CropTracker
from lib.train.data.stretched import StretchedCrops

WEIGHTS = ROOT / "pretrained_models" / "fear_xs.safetensors"


@pytest.fixture(scope="module")
def published():
    """The network with its published weights, in evaluation mode."""
    network = build_model(load_config("fear", "xs"))
    load_state(network, load_weights(WEIGHTS), "fear_xs")
    return network.eval()


def test_published_numbers(published):
    known = golden_fear.read()
    template = published.normalize(pixels(known["template_seed"], 128))
    search = published.normalize(pixels(known["search_seed"], 256))
    with torch.inference_mode():
        memory = published.embed(template)
        features, head = published.backbone(search[:, 0]), published.head
        maps = published(memory, search)
        found = {
            "template_features": memory.features,
            "search_features (input.125)": features,
            "cls_tower_in (input.150)": head.cls_mix(correlate_cells(memory.features, head.cls_encoder(features))),
            "reg_tower_in (input.140)": head.box_mix(correlate_cells(memory.features, head.box_encoder(features))),
            "bbox": maps.distances,
            "cls": maps.logits[:, None],
        }
    assert set(found) == set(known["stages"])
    for name, expected in known["stages"].items():
        values = found[name].double().flatten()
        assert list(found[name].shape) == expected["shape"]
        assert values.mean().item() == pytest.approx(expected["mean"], abs=1e-4 * expected["std"])
        assert values.std(correction=0).item() == pytest.approx(expected["std"], rel=1e-4)
        places = np.linspace(0, len(values) - 1, len(expected["samples"])).astype(int)
        tolerance = 2e-3 if name == "bbox" else 1e-4 * expected["std"]
        np.testing.assert_allclose(values[places], expected["samples"], rtol=0, atol=tolerance)


def test_batch_norm_begins_as_the_identity(published):
    network = build_model(load_config("fear", "xs", ["MODEL.BACKBONE.BATCH_NORM=true"]))
    load_state(network, load_weights(WEIGHTS), "fear_xs")
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    image = published.normalize(pixels(3, 128))[:, 0]
    with torch.inference_mode():
        torch.testing.assert_close(network.eval().backbone(image), published.backbone(image), rtol=1e-4, atol=1e-4)


def test_published_weights_are_recognised_and_need_their_normalisation():
    weights = load_weights(WEIGHTS)
    assert identify(weights) == "fear"
    network = build_model(load_config("fear", "xs", ["DATA.STD=[0.5,0.5,0.5]"]))
    with pytest.raises(InputError, match="DATA.STD: differs from the published weights'"):
        load_state(network, weights, "fear_xs")


def test_view_has_a_scale_for_each_direction():
    box = np.array([100.0, 80, 40, 20])
    view = place_stretched(box, 5, 256, None)
    assert view.corner == (20, 40) and view.extent == (200, 100) and view.scale == (1.28, 2.56)
    np.testing.assert_allclose(view.prior, [0.2, 0.2])
    np.testing.assert_allclose(view.to_frame(np.array([0.5, 0.5, 0.2, 0.2])), box)
    np.testing.assert_allclose(view.to_frame(np.array([0.75, 0.25, 0.1, 0.4])), [160, 45, 20, 40])


def test_distances_are_measured_from_the_cells_point():
    distances = torch.zeros(1, 4, 16, 16)
    distances[0, :, 10, 6] = torch.tensor([16.0, 32, 48, 64])  # left, top, right, bottom
    box = boxes_from_distances(distances)[0, :, 10, 6] * 256
    assert box.tolist() == [96 + 16, 160 + 16, 64, 96] and cell_points(16, distances.device)[6] * 256 == 96


def maps_with(logits, size):
    """FearMaps of one target whose boxes are `size` pixels wide and high, centred on their cells."""
    distances = torch.as_tensor(size, dtype=torch.float32).expand(16, 16)[None, None] / 2
    return FearMaps(logits[None], distances.expand(1, 4, 16, 16), logits[None, None])


def test_rank_is_the_score_with_window_and_penalty(published):
    method = build_method(published, load_config("fear", "xs"))
    logits = torch.full((16, 16), -9.0)
    logits[4, 8] = logits[8, 4] = 2.0
    sizes = torch.full((16, 16), 51.2)
    sizes[4, 8] *= 2  # twice as wide and as high as before
    boxes, scores, ranks = method.rank(*maps_with(logits, sizes)[:2], torch.tensor([[0.2, 0.2]]))
    one, other = 4 * 16 + 8, 8 * 16 + 4
    share, p = 0.38, torch.tensor(2.0).sigmoid()
    window = np.hanning(16)
    weight = window[4] * window[8]
    assert scores[0, one] == scores[0, other] == p
    assert ranks[0, other].item() == pytest.approx(float(p) * (1 - share) + share * weight)
    assert ranks[0, one].item() == pytest.approx(float(p) * np.exp(-0.062) * (1 - share) + share * weight)
    np.testing.assert_allclose(boxes[0, one, 2:], [0.4, 0.4])


@pytest.mark.parametrize("padding", ["mean", "black"])
def test_colour_of_the_padding(padding):
    method = build_method(micro.model("fear"), micro.config("fear", f"TEST.TEMPLATE_PADDING={padding}"))
    frame = Frame([np.full((40, 60, 3), 90, np.uint8)], (40, 60))
    tracker = CropTracker(method, "cpu")
    (target,) = tracker.start([frame], [np.array([0.0, 0, 20, 20])])
    (template,), (search,) = method.first_views(target, frame), method.views(target, frame)
    assert np.unique(template.fill).tolist() == ([90] if padding == "mean" else [0])
    assert search.fill.tolist() == [90] * 3


def test_stream_of_a_frame_with_two():
    random = np.random.default_rng(0)
    frames = [[random.integers(0, 256, (80, 100, 3), np.uint8) for _ in range(2)] for _ in range(3)]
    box = np.array([30.0, 20, 24, 30])
    infrared = micro.tracker("fear", "TEST.STREAM=infrared")
    assert infrared.streams == Streams(1, "infrared")
    (both,), (alone,) = infrared.start([frames[0]], [box]), infrared.start([frames[0][1:]], [box])
    (visible,) = micro.tracker("fear").start([frames[0]], [box])
    assert torch.equal(both.state.memory.features, alone.state.memory.features)
    assert not torch.equal(both.state.memory.features, visible.state.memory.features)
    ((one,), (other,)) = infrared.track([both], [frames[1]]), infrared.track([alone], [frames[1][1:]])
    assert one.score == other.score and one.box.tolist() == other.box.tolist()


def test_boxes_are_whole_pixels_inside_the_frame():
    method = micro.tracker("fear").method
    assert method.clip(np.array([-30.4, 5.2, 20.0, 10.4]), (40, 60)).tolist() == [0, 5, 3, 10]
    assert method.clip(np.array([58.6, 39.2, 0.2, 50.0]), (40, 60)).tolist() == [57, 37, 3, 3]


def test_labels_and_losses_by_hand():
    truth = torch.tensor([[0.5, 0.5, 0.25, 0.125]])  # 64 x 32 pixels around cell (8, 8)
    inside, middle = cells_inside(truth, 16, 1.0), cells_inside(truth, 16, 0.5)
    assert inside[0].nonzero().tolist() == [[row, column] for row in (7, 8, 9) for column in (6, 7, 8, 9, 10)]
    assert middle[0].nonzero().tolist() == [[8, 7], [8, 8], [8, 9]]
    small = cells_inside(torch.tensor([[0.51, 0.52, 0.01, 0.01]]), 16, 1.0)
    assert small[0].nonzero().tolist() == [[8, 8]]
    logits = torch.zeros(1, 16, 16)
    logits[middle] = 1.0
    expected = 0.5 * np.log1p(np.exp(-1)) + 0.5 * np.log(2)
    assert balanced_binary_loss(logits, middle).item() == pytest.approx(expected, rel=1e-6)
    boxes = truth[:, :, None, None].expand(1, 4, 16, 16).clone()
    assert smoothed_iou_loss(boxes, truth, inside).item() == pytest.approx(0, abs=1e-6)
    boxes[:, 2] /= 2  # half as wide: I = 1024, U = 2048 square pixels
    assert smoothed_iou_loss(boxes, truth, inside).item() == pytest.approx(1 - 1025 / 2049, rel=1e-5)


def test_negative_pairs_have_no_positive_cell_and_no_box_loss():
    network, batch = micro.model("fear"), micro.batch("fear")
    losses, figures = network.step(batch._replace(positive=torch.tensor([False, False])))
    assert losses["box"].item() == 0 and figures["iou"].tolist()[1] == 0 and figures["score_on"].tolist()[1] == 0


def test_learns_two_pairs():
    network, batch = micro.model("fear").train(), micro.batch("fear")
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    history = []
    for _ in range(40):
        losses, _ = network.step(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    assert history[-1]["cls"] < 0.7 * history[0]["cls"] and history[-1]["box"] < 0.7 * history[0]["box"]


def test_training_crops_are_stretched():
    cfg = micro.config("fear", "DATA.SEARCH.SHIFT=0", "DATA.SEARCH.SCALE=0", "DATA.SEARCH.COLOR=0")
    crops, box = StretchedCrops.from_config(cfg), np.array([40.0, 30, 40, 10])
    draw = crops.search.draw(np.random.default_rng(0))
    region = crops.search.place(box, crops._scale(box, crops.search), draw)
    np.testing.assert_allclose(region, [-40, 10, 200, 50])


def answer_of(score, box=(0.5, 0.5, 0.2, 0.2)):
    return TargetAnswer(np.array(box), score, True)


def test_box_is_held_below_a_score():
    frame = Frame([np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)], (80, 100))
    for limit, held in ((0.0, False), (0.4, True)):
        tracker = micro.tracker("fear", f"TEST.HOLD_SCORE={limit}")
        (target,) = tracker.start([frame], [np.array([30.0, 20, 20, 20])])
        (view,) = tracker.method.views(target, frame)
        moved = tracker.method.update_target(target, view, answer_of(0.3, (0.6, 0.5, 0.2, 0.2)), frame.size)
        assert moved.found != held and moved.age == 1 and moved.score == 0.3
        assert moved.box.tolist() == ([30, 20, 20, 20] if held else [40, 20, 20, 20])


def test_template_is_blended_with_that_of_a_sure_frame():
    changes = ["TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SHARE=0.25", "TEST.TEMPLATE_UPDATE.SCORE=0.5"]
    method = micro.tracker("fear", *changes).method
    frame = Frame([np.zeros((80, 100, 3), np.uint8)], (80, 100))
    (target,) = micro.tracker("fear").start([frame], [np.array([30.0, 20, 20, 20])])
    due = {(age, score): len(method.update_views(replace(target, age=age, score=score), frame))
           for age in (1, 2) for score in (0.4, 0.6)}  # fmt: skip
    assert due == {(1, 0.4): 0, (1, 0.6): 0, (2, 0.4): 0, (2, 0.6): 1}
    old, new = Memory(torch.zeros(1, 2, 1, 1)), Memory(torch.ones(1, 2, 1, 1))
    assert method.merge_memory(old, new).features.unique().tolist() == [0.25]
