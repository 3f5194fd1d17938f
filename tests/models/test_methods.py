"""Where methods look and what they believe, without their networks."""

from dataclasses import replace

import micro
import numpy as np
import pytest
from fake_model import moving_sequence

from lib.core import tree
from lib.core.frame import Frame
from lib.core.target import Target
from lib.models import build_method, build_model
from lib.models.method import CropState, TargetAnswer

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
FRAME = Frame([IMAGE], (60, 80))


def method(variant, *changes):
    cfg = micro.config(variant, *changes)
    return build_method(build_model(cfg), cfg)


def target(method, box, **settings):
    """A target at a box, with other settings than it starts with."""
    box = np.array(box, np.float64)
    return Target("walk", box, state=CropState(None, method.initial_settings(FRAME, box)._replace(**settings)))


def test_context_search_of_twice_the_size_shows_twice_the_region_at_the_same_scale():
    siamese = method("siamrpn")
    box = [30.0, 20.0, 20.0, 20.0]  # side sqrt(40 * 40)
    (near,), (far,) = (siamese.views(target(siamese, box, search_size=size), FRAME) for size in (255, 511))
    assert near.scale == far.scale == (127 / 40, 127 / 40)
    assert (
        near.size == (255, 255) and far.size == (511, 511) and far.extent[0] == pytest.approx(2 * near.extent[0], abs=1)
    )
    middle = far.to_frame(np.array([0.5, 0.5, 63.5 / 511, 63.5 / 511]))
    np.testing.assert_allclose(middle, box)


def test_small_targets_get_their_own_search_size():
    siamese = method("siamrpn", "TEST.SMALL_TARGET_SHARE=0.004", "TEST.SEARCH_SIZE=271")
    assert siamese.initial_settings(FRAME, np.array([0.0, 0, 4.3, 4.3])).search_size == 287
    assert siamese.initial_settings(FRAME, np.array([0.0, 0, 4.5, 4.5])).search_size == 271


@pytest.mark.parametrize("variant", ["dimp", "prdimp", "atom", "eco", "rt_mdnet"])
def test_a_frame_whose_answer_is_not_finite_teaches_nothing(variant, monkeypatch):
    interval = "TEST.UPDATE.INTERVAL=1" if variant == "rt_mdnet" else "TEST.LEARN.INTERVAL=1"
    tracker, sequence = micro.tracker(variant, interval), moving_sequence("right", 4, (4, 0))
    (begun,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["right"])
    predict = tracker.method.predict
    with monkeypatch.context() as broken:
        broken.setattr(
            tracker.method, "predict", lambda *given: tree.map_tensors(lambda part: part * np.nan, predict(*given))
        )
        (held,) = tracker.track([begun], [sequence.frames[1]])
    assert not held.found and held.score == 0 and np.array_equal(held.box, begun.box)
    for index in (2, 3):
        (held,) = tracker.track([held], [sequence.frames[index]])
        assert np.isfinite(held.box).all() and held.score > 0
    (learner,) = held.state.memory.learner.items
    if variant != "rt_mdnet":  # keeps samples of frames alone in which it found the target
        memories = [block.samples for block in learner.blocks] if variant == "eco" else [learner.samples]
        kept = [part for memory in memories for part in tree.tensors(memory.samples)]
        assert all(part.isfinite().all() for part in kept)


@pytest.mark.parametrize("size", [(30, 110), (110, 30)])
def test_a_lost_target_is_searched_all_over_a_wide_and_a_high_frame(size):
    """The region grows until it reaches both ends of the frame from a target at one of them."""
    long = method("dasiamrpn-long", "TEST.LONG_TERM.MAX_SIZE=1503")
    lost = Target("walk", np.array([0.0, 0, 20, 20]), score=0.0, found=False)
    frame = Frame([np.zeros((*size, 3), np.uint8)], size)
    lost = replace(lost, state=CropState(None, long.initial_settings(frame, lost.box)))
    for _ in range(8):
        lost = long.prepare_next(lost, size)
    (view,) = long.views(lost, frame)
    assert not lost.found and 2 * max(size) - 1 <= view.extent[0] <= 2 * max(size) + 80


def test_a_corrected_target_is_searched_in_a_region_of_the_usual_size():
    long = method("dasiamrpn-long")
    lost = target(long, [30.0, 20.0, 20.0, 20.0], search_size=399)
    found = long.correct(lost, np.array([5.0, 6, 20, 20]))
    usual = lost.state.settings.usual_size
    assert long.views(lost, FRAME)[0].size == (399, 399) and long.views(found, FRAME)[0].size == (usual, usual)
    assert found.box.tolist() == [5, 6, 20, 20]


def test_the_window_weighs_little_while_the_target_is_lost(monkeypatch):
    tracker = micro.tracker("dasiamrpn-long", "TEST.LONG_TERM.WINDOW_INFLUENCE=0.05")
    long, seen = tracker.method, []
    propose = long.propose
    monkeypatch.setattr(long, "propose", lambda *given: seen.append(given[2]) or propose(*given))
    (sight,) = tracker.start([[IMAGE]], [np.array([30.0, 20, 20, 20])])
    settings = sight.state.settings._replace(search_size=295)
    lost = replace(sight, state=sight.state._replace(settings=settings))
    tracker.track([sight, lost], [[IMAGE], [IMAGE]])
    assert seen == [None, 0.05], "None stands for TEST.WINDOW_INFLUENCE"


def test_a_target_without_any_score_is_not_found():
    """A box where no cell is higher than any other says nothing."""
    plain = method("ostrack")
    start = replace(target(plain, [30.0, 20.0, 20.0, 20.0]), name="walk")
    (view,) = plain.views(start, FRAME)
    box = np.array([0.5, 0.5, 0.25, 0.25])
    after = [plain.update_target(start, view, TargetAnswer(box, score, True), FRAME.size) for score in (0.0, 0.01)]
    assert [one.found for one in after] == [False, True] and [one.age for one in after] == [1, 1]


def test_context_clip_keeps_the_centre_in_the_image():
    box = method("siamrpn").clip(np.array([-30.0, 50, 20, 300]), (60, 80))
    np.testing.assert_allclose(box, [-10, 30, 20, 60])  # centre (0, 60), height of the image


def test_a_renewed_template_has_the_first_frames_colour_around_it():
    siamese = method("siamrpn", "TEST.TEMPLATE_UPDATE.INTERVAL=1", "TEST.TEMPLATE_UPDATE.SCORE=0.0")
    first = target(siamese, [30.0, 20.0, 20.0, 20.0])
    (view,) = siamese.update_views(first, Frame([np.zeros_like(IMAGE)], (60, 80)))
    np.testing.assert_array_equal(view.fill, IMAGE.mean(axis=(0, 1)).astype(np.uint8))


def test_corners_in_the_wrong_order_are_no_size():
    slow, plain = method("ostrack", "TEST.SIZE_RATE=0.3"), method("ostrack")
    settings = plain.initial_settings(FRAME, np.array([1.0, 1, 1, 1]))
    size = slow.adjust_size(np.array([-0.2, 0.25]), np.array([0.25, 0.25]), settings)
    np.testing.assert_allclose(size, [0, 0.25])
    given = np.array([-0.2, 0.1])
    assert plain.adjust_size(given, np.array([0.25, 0.25]), settings) is given


def test_methods_share_a_network_and_cost_no_weights():
    cfg, other = micro.config("dasiamrpn"), micro.config("dasiamrpn", "TEST.PENALTY_K=0.3")
    network = build_model(cfg)
    first, second = build_method(network, cfg), build_method(network, other)
    assert first.network is second.network and first.selection.penalty_k != second.selection.penalty_k == 0.3
