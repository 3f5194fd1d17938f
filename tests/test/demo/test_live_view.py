"""A live view of tracking on a visdom server: what is shown, and that results are those of a run without."""

import base64
import time
from dataclasses import replace

import cv2
import micro
import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence
from fake_visdom import fake_visdom, unused_port

from lib.core.frame import Frame
from lib.core.visdom import Visdom
from lib.test.demo import live_view
from lib.test.demo.live_view import LiveView, annotated_box, draw_region
from lib.test.evaluation.engine import follow
from lib.test.tracker.refined import Identity, Refined
from lib.test.video.draw import GAP


@pytest.fixture(autouse=True)
def every_frame(monkeypatch):
    monkeypatch.setattr(live_view, "FASTEST", 1e9)


class Patient(LiveView):
    """Waits until the server has what was shown before, so that no frame is left out."""

    def wants(self) -> bool:
        end = time.monotonic() + 10
        while not self.windows.ready:
            assert time.monotonic() < end
            time.sleep(0.002)
        return super().wants()


def tracked(tracker, sequences, watcher=None, batch=1):
    boxes = {}
    follow(tracker, sequences, lambda name, found, *rest: boxes.update({name: found}), batch=batch, watcher=watcher)
    return boxes


def picture(content: dict) -> np.ndarray:
    code = content["data"][0]["content"]["src"].partition(",")[2]
    return cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("variant", ["dasiamrpn", "iimf_track"])
def test_frame_region_and_score_map_are_shown_and_boxes_stay(variant):
    tracker = micro.tracker(variant)
    sequences = [moving_sequence("a", 4, (3, 2)), moving_sequence("b", 3, (2, 3))]
    plain = tracked(tracker, sequences)
    with fake_visdom() as fake:
        watcher = Patient(Visdom(fake.address, "run"))
        watched = tracked(tracker, sequences, watcher)
        watcher.windows.close()
    for name in "ab":
        np.testing.assert_array_equal(watched[name], plain[name])
    assert set(fake.windows()) == {"Tracking", "search_region", "score_map", "info"}
    words = [one["data"][0]["content"].split("<br>") for one in fake.of("info")]
    assert [(lines[0], lines[1]) for lines in words] == [
        *(("a", f"frame {k} of 4") for k in (1, 2, 3, 4)), *(("b", f"frame {k} of 3") for k in (1, 2, 3))]  # fmt: skip
    assert len(fake.of("Tracking")) == 7 and len(fake.of("search_region")) == len(fake.of("score_map")) == 5
    modalities, side = tracker.streams.modalities, tracker.method.search_size
    assert picture(fake.of("search_region")[0]).shape == (side, modalities * side + (modalities - 1) * GAP, 3)
    seen = []
    started = tracker.start([sequences[0].frames[0]], [sequences[0].boxes[0]], ["a"])
    tracker.track(started, [sequences[0].frames[1]], lambda targets, views, heats: seen.append(heats[0].scores))
    np.testing.assert_allclose(fake.of("score_map")[0]["data"][0]["z"], seen[0], atol=6e-5)


def test_the_box_lies_where_the_result_has_it():
    sequence = moving_sequence("a", 2)
    sequence = replace(sequence, boxes=sequence.boxes[:1], annotated=np.array([0]))
    with fake_visdom() as fake:
        watcher = Patient(Visdom(fake.address, "run"))
        found = tracked(fake_tracker(), [sequence], watcher)["a"]
        watcher.windows.close()
    shown = picture(fake.of("Tracking")[1]).astype(int)
    width = sequence.frames[0][0].shape[1]
    scale = max(1.0, 360 / sequence.frames[0][0].shape[0])
    x, y, w, h = (found[1] * scale).round().astype(int)
    edge = shown[y + h // 2, x - 1 : x + 2]  # blue, green, red
    assert shown.shape[1] > width and (edge[:, 2] - edge[:, 0]).max() > 60  # orange
    assert (shown[..., 2] - shown[..., 0] > 60).any(0).nonzero()[0].min() >= x - 4


@pytest.mark.parametrize("refined", [False, True])
def test_of_a_batch_the_first_sequence_is_shown(refined):
    sequences = [moving_sequence("a", 5), moving_sequence("b", 3, (2, 3))]
    tracker = Refined(fake_tracker(), Identity()) if refined else fake_tracker()
    with fake_visdom() as fake:
        watcher = Patient(Visdom(fake.address, "run"))
        tracked(tracker, sequences, watcher, batch=2)
        watcher.windows.close()
    assert [one["data"][0]["content"].partition("<br>")[0] for one in fake.of("info")] == ["a"] * 5
    assert len(fake.of("search_region")) == 4 and not fake.of("score_map")  # a network without one


def test_regions_of_reduced_frames_are_shown():
    sequence = moving_sequence("a", 2)
    tracker = micro.tracker("iimf_track")
    seen = []
    tracker.track(
        tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["a"]), [sequence.frames[1]],
        lambda targets, views, heats: seen.append(views[0][0]),
    )  # fmt: skip
    images = sequence.frames[1]
    whole = draw_region(Frame(images, images[0].shape[:2]), seen[0])
    half = Frame([cv2.resize(image, None, fx=0.5, fy=0.5) for image in images], images[0].shape[:2], 2)
    smaller = draw_region(half, seen[0])
    assert smaller.shape == whole.shape and np.abs(smaller.astype(int) - whole).mean() < 5


def test_frames_that_find_the_server_busy_are_left_out():
    sequence = moving_sequence("a", 30)
    with fake_visdom() as fake:
        fake.delay = 0.2
        watcher = LiveView(Visdom(fake.address, "run"))
        begin = time.monotonic()
        tracked(fake_tracker(), [sequence], watcher)
        assert time.monotonic() - begin < 3 and watcher.windows.left_out == 0
        watcher.windows.close(5)
    assert 1 <= len(fake.of("Tracking")) < 20


def test_without_a_server_boxes_are_those_of_a_run_without(caplog):
    sequence = moving_sequence("a", 6)
    plain = tracked(fake_tracker(), [sequence])["a"]
    watcher = LiveView(Visdom(f"127.0.0.1:{unused_port()}", "run"))
    np.testing.assert_array_equal(tracked(fake_tracker(), [sequence], watcher)["a"], plain)
    watcher.windows.close()
    assert [record.getMessage().partition(";")[2] for record in caplog.records if "visdom" in record.getMessage()]


def test_annotations():
    sequence = moving_sequence("a", 4)
    np.testing.assert_array_equal(annotated_box(sequence, 2), sequence.boxes[2])
    some = replace(sequence, boxes=np.array([[1, 2, 3, 4], [0, 0, 0, 0.0]]), annotated=np.array([0, 3]))
    assert annotated_box(some, 0).tolist() == [1, 2, 3, 4] and annotated_box(some, 1) is annotated_box(some, 3) is None
