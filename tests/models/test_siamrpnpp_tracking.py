"""SiamRPN++ in videos: targets together and alone, lost targets, template updates, sizes that do not fit."""

from dataclasses import replace

import golden_pysot as pysot
import micro
import micro_golden
import numpy as np
import pytest
import torch

from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.models import build_method
from lib.test.tracker.crop_tracker import CropTracker

STARTS = [np.array([100.0, 80, 60, 40]), np.array([5.0, 190, 36, 72]), np.array([200.0, 100, 30, 50])]


def calm_tracker(variant, *changes):
    """A tracker whose scores and boxes are not at their limits: pixels count as if they were normalised."""
    network = micro_golden.calm_network(variant)
    with torch.no_grad():
        next(network.backbone.parameters()).mul_(0.01)
    return CropTracker(build_method(network, micro.config(variant, *changes)), "cpu")


def follow(tracker, starts, seeds):
    """Boxes, scores and sizes of the next search region of targets in the frames of `seeds`: [T, N, 6]."""
    first, *frames = (pysot.frame(seed) for seed in seeds)
    targets = tracker.start([first] * len(starts), starts)
    seen = []
    for images in frames:
        targets = tracker.track(targets, [images] * len(starts))
        seen.append([[*one.box, one.score, one.state.settings.search_size] for one in targets])
    return np.array(seen)


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("siamrpnpp", []),
        ("siamrpnpp-alex", ["TEST.TEMPLATE_UPDATE.INTERVAL=1", "TEST.TEMPLATE_UPDATE.SCORE=0"]),
        ("siamrpnpp-mobile", ["TEST.SMALL_TARGET_SHARE=0.03", "TEST.SMALL_TARGET_SIZE=191"]),
        ("siamrpnpp-long", ["TEST.LONG_TERM.LOW=0.5", "TEST.LONG_TERM.HIGH=0.9", "TEST.LONG_TERM.MAX_SIZE=255"]),
    ],
)
def test_targets_tracked_together_get_what_they_get_alone(variant, changes):
    tracker = calm_tracker(variant, *changes)
    together = follow(tracker, STARTS, range(31, 35))
    alone = np.concatenate([follow(tracker, [start], range(31, 35)) for start in STARTS], axis=1)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-3)
    assert len(np.unique(together[..., :4].round(1))) > 30, "the boxes move"


def scripted(scores, *changes):
    """A tracker of long videos whose network gives every proposal the next of these scores, and the sizes it saw."""
    tracker, sizes = micro.tracker("siamrpnpp-long", "TEST.SEARCH_SIZE=255", *changes), []
    network, forward = tracker.method.network, tracker.method.network.forward

    def answer(memory, search):
        prediction, score = forward(memory, search), scores[len(sizes)]
        sizes.append(search.shape[-1])
        logits = torch.zeros_like(prediction.logits)
        logits[:, 1] = np.log(score / (1 - score))
        return prediction._replace(logits=logits, deltas=torch.full_like(prediction.deltas, 0.05))

    network.forward = answer
    return tracker, sizes


def test_lost_target_waits_and_is_searched_in_a_large_region_at_once():
    """Below 0.85 the box waits, also in the frame where the target gets lost; above 0.998 it is found again."""
    scores = [0.9, 0.84, 0.5, 0.9, 0.997, 0.999, 0.9]
    tracker, sizes = scripted(scores)
    image = [np.random.default_rng(0).integers(0, 256, (720, 960, 3)).astype(np.uint8)]
    targets, found = tracker.start([image], [np.array([400.0, 300, 70, 60])]), []
    boxes = [targets[0].box]
    for _ in scores:
        targets = tracker.track(targets, [image])
        boxes.append(targets[0].box)
        found.append(targets[0].found)
    assert sizes == [255, 255, 831, 831, 831, 831, 255]
    assert found == [True, False, False, False, False, True, True]
    moved = [np.abs(b - a).max() > 0.6 for a, b in zip(boxes, boxes[1:], strict=False)]
    assert moved == [True, False, False, True, True, True, True]


def test_usual_mode_sees_its_target_whatever_the_score():
    tracker = calm_tracker("siamrpnpp", "TEST.LONG_TERM.LOW=1", "TEST.LONG_TERM.HIGH=1")
    assert (follow(tracker, STARTS, (31, 32, 33))[..., 5] == 159).all()


def test_template_is_blended_when_it_is_due():
    changes = ["TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SHARE=0.25", "TEST.TEMPLATE_UPDATE.SCORE=0"]
    tracker, frames = calm_tracker("siamrpnpp", *changes), [pysot.frame(seed) for seed in (31, 32, 33)]
    first = tracker.start([frames[0]], STARTS[:1])
    one = tracker.track(first, [frames[1]])
    assert one[0].state.memory is first[0].state.memory
    (two,) = tracker.track(one, [frames[2]])
    (view,) = tracker.method.first_views(two, Frame(frames[2], frames[2][0].shape[:2]))
    with torch.inference_mode():
        pixels = torch.from_numpy(cut(frames[2][0], view)).permute(2, 0, 1)[None, None, None]
        fresh = tracker.method.begin(pixels, torch.zeros(1, 1, 4))
        for old, now, new in zip(first[0].state.memory, two.state.memory, fresh, strict=True):
            torch.testing.assert_close(now, 0.75 * old + 0.25 * new)


def test_corrected_target_goes_on_from_its_box_in_the_usual_region():
    tracker, _ = scripted([0.5, 0.9])
    image = [np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)]
    lost = tracker.track(tracker.start([image], [np.array([400.0, 300, 70, 60])]), [image])
    assert lost[0].state.settings.search_size > 255
    (corrected,) = tracker.correct(lost, [np.array([100.0, 90, 50, 40])])
    assert corrected.box.tolist() == [100, 90, 50, 40] and corrected.state.settings.search_size == 255


@pytest.mark.parametrize(
    ("variant", "changes", "parts"),
    [
        ("siamrpnpp", ["MODEL.LEVELS=[5,3]"], ["MODEL.LEVELS", "ascending", "[3, 4, 5]"]),
        ("siamrpnpp-alex", ["MODEL.LEVELS=[3,4,5]"], ["MODEL.LEVELS", "alexnet", "[5]"]),
        ("siamrpnpp", ["DATA.SEARCH.SIZE=250"], ["DATA.SEARCH.SIZE", "250", "247"]),
        ("siamrpnpp", ["TEST.SEARCH_SIZE=250"], ["TEST.SEARCH_SIZE", "250", "247"]),
        ("siamrpnpp-long", ["TEST.LONG_TERM.MAX_SIZE=159"], ["TEST.LONG_TERM.MAX_SIZE", "159"]),
        ("siamrpnpp-long", ["TEST.LONG_TERM.LOW=0.999"], ["TEST.LONG_TERM.HIGH", "below LOW"]),
    ],
)  # fmt: skip
def test_parts_that_do_not_go_together_are_one_clear_line(variant, changes, parts):
    with pytest.raises(InputError) as raised:
        micro.tracker(variant, *changes)
    message = str(raised.value)
    assert all(part in message for part in parts) and "\n" not in message


@pytest.mark.parametrize(
    ("variant", "change", "message"),
    [
        ("siamrpnpp-long", "TEST.MODE=long_term", r"TEST\.MODE.*set TEST\.MODE=plain"),
        ("siamrpnpp", "TEST.TEMPLATE_UPDATE.INTERVAL=3", r"TEST\.TEMPLATE_UPDATE\.INTERVAL=0"),
        ("siamrpnpp", "TEST.SMALL_TARGET_SHARE=0.1", r"set TEST\.SMALL_TARGET_SHARE=0"),
    ],
)
def test_what_no_graph_can_do_is_said(variant, change, message):
    with pytest.raises(InputError, match=message):
        micro.tracker(variant, change).method.graph_settings()


def test_reduced_precision_keeps_the_layers_that_boxes_are_read_from():
    network = micro.model("siamrpnpp")
    network.cast(torch.bfloat16)
    kept = {key for key, value in network.state_dict().items() if value.dtype == torch.float32}
    assert all(".loc.head." in key or key == "rpn_head.loc_weight" for key in kept) and len(kept) > 3
    batch = micro.batch("siamrpnpp").apply(lambda part: part.bfloat16())
    with torch.no_grad():
        assert network(network.embed(batch.template), batch.search).deltas.dtype == torch.float32


def test_grown_region_covers_no_more_than_the_frame_needs():
    tracker, _ = scripted([0.5])
    image = [np.zeros((120, 160, 3), np.uint8)]
    target = tracker.start([image], [np.array([40.0, 30, 70, 60])])[0]
    lost = tracker.method.prepare_next(replace(target, score=0.1), (120, 160))
    assert 255 < lost.state.settings.search_size < 831
