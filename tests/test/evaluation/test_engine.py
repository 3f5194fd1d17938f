import functools
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import micro
import numpy as np
import pytest
from fake_model import fake_tracker, follow_alone, moving_sequence

from lib.core.errors import InputError
from lib.core.frame import Streams
from lib.datasets.annotation import read_numbers
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import Frames, Sequence
from lib.models import TRACKERS
from lib.test.evaluation import engine
from lib.test.evaluation.engine import TrackingJob, follow, run_tracking
from lib.test.evaluation.read_ahead import DEPTH, FrameQueue, decoding_threads, read_ahead
from lib.test.evaluation.workers import choose_devices
from lib.test.results.files import finished, read_both_seconds, read_result, write_result

ROOT = Path(__file__).parents[3]


def run(folder, sequences, devices=("cpu",), build=fake_tracker):
    """What tracking/test.py does: skip what is finished, follow the rest."""
    pending = [sequence for sequence in sequences if not finished(folder, sequence)]
    run_tracking(TrackingJob(build, functools.partial(write_result, folder), pending), devices)
    return [sequence.name for sequence in pending]


def test_results_hold_every_frame_and_its_seconds(tmp_path):
    sequence = moving_sequence("walk", length=12)
    counts = []
    follow(fake_tracker(), [sequence], functools.partial(write_result, tmp_path), counts.append)
    boxes = read_result(tmp_path / "walk.txt")
    np.testing.assert_array_equal(boxes[0], sequence.boxes[0])
    np.testing.assert_allclose(boxes, follow_alone(fake_tracker(), sequence), atol=1e-3)
    alone, whole = read_both_seconds(tmp_path / "walk_time.txt").T
    assert alone.shape == (12,) and (alone > 0).all() and (whole >= alone).all()
    assert sum(counts) == 12
    confidence = read_numbers(tmp_path / "walk_confidence.txt", 2)
    np.testing.assert_allclose(confidence, [(1, 1)] + [(0.9, 1)] * 11, rtol=0, atol=1e-6)


def test_a_frame_without_an_answer_has_no_confidence(tmp_path):
    sequence = moving_sequence("gone", length=4, step=(400, 0))
    follow(fake_tracker(), [sequence], functools.partial(write_result, tmp_path))
    assert read_numbers(tmp_path / "gone_confidence.txt", 2).tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_finished_sequences_are_skipped_and_unfinished_ones_followed(tmp_path):
    sequences = [moving_sequence("first"), moving_sequence("second", step=(2, 6))]
    assert run(tmp_path, sequences[:1]) == ["first"]
    before = (tmp_path / "first.txt").stat().st_mtime_ns
    assert run(tmp_path, sequences) == ["second"]
    assert (tmp_path / "first.txt").stat().st_mtime_ns == before
    (tmp_path / "first_time.txt").unlink()
    assert run(tmp_path, sequences) == ["first"]


@pytest.mark.parametrize("devices", [["cpu"], ["cpu", "cpu"]])
def test_unreadable_frame_stops_with_its_path_and_leaves_no_partial_result(tmp_path, devices):
    good, bad = moving_sequence("good", length=20), moving_sequence("bad", broken=5)
    with pytest.raises(InputError, match="/data/moving/000005.png: image does not exist"):
        run(tmp_path, [good, bad], devices)
    assert {path.name for path in tmp_path.iterdir()} <= {"good.txt", "good_time.txt", "good_confidence.txt"}


def test_two_workers_write_what_one_writes(tmp_path):
    sequences = [moving_sequence(f"s{k}", length=5 + k, step=(k, 2)) for k in range(5)]
    run(tmp_path / "one", sequences)
    run(tmp_path / "two", sequences, ["cpu", "cpu"])
    for sequence in sequences:
        name = f"{sequence.name}.txt"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_worker_that_dies_is_an_error(tmp_path):
    with pytest.raises(InputError, match="a worker ended with status 9; out of memory"):
        run(tmp_path, [moving_sequence("a"), moving_sequence("b")], ["cpu", "cpu"], build=die)


def die(device):
    os._exit(9)


def test_network_is_built_once_for_all_sequences(tmp_path):
    built = []

    def build(device):
        built.append(device)
        return fake_tracker(device)

    run(tmp_path, [moving_sequence("a"), moving_sequence("b")], build=build)
    assert built == ["cpu"]


def test_a_frame_of_another_size_is_read_whole_though_a_reduced_one_was_asked_for():
    """Its boxes would else be scaled by the size of the first frame."""
    sequence = moving_sequence("walk", length=5)
    images = [sequence.frames[k] for k in range(5)]
    images[3] = [np.ascontiguousarray(image[:150, :200]) for image in images[3]]

    class Uneven(Frames):
        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            return images[index]

    with decoding_threads(1) as pool:
        queue = FrameQueue(pool, Streams(2), replace(sequence, frames=Uneven()))
        found = [queue.next_frame()]
        for _ in range(4):
            queue.request(2)
            found.append(queue.next_frame())
    whole = images[0][0].shape[:2]
    assert [frame.reduction for frame in found] == [1, 1, 2, 1, 2], "two are decoded ahead"
    assert [frame.size for frame in found] == [whole, whole, whole, (150, 200), whole]


def test_longest_sequences_come_first(tmp_path):
    saved = []
    sequences = [moving_sequence("short", 3), moving_sequence("long", 9), moving_sequence("middle", 5)]
    run_tracking(
        TrackingJob(fake_tracker, lambda name, boxes, seconds, confidence: saved.append(name), sequences), ["cpu"]
    )
    assert saved == ["long", "middle", "short"]
    job = TrackingJob(
        fake_tracker, lambda name, boxes, seconds, confidence: saved.append(name), sequences, in_order=True
    )
    run_tracking(job, ["cpu"])
    assert saved[3:] == ["short", "long", "middle"]


def collect(tracker, sequences, batch):
    """Boxes and confidences by name, and in what order the sequences ended."""
    ended = {}

    def save(name, boxes, seconds, confidence):
        assert seconds.shape == (len(boxes), 2) and (seconds[:, 0] > 0).all()
        ended[name] = np.concatenate([boxes, confidence], axis=1)

    counts = []
    follow(tracker, sequences, save, counts.append, batch=batch)
    assert sum(counts) == sum(map(len, sequences)) and max(counts) <= batch
    return ended


def test_a_batch_gives_each_sequence_what_it_gets_alone_in_any_order():
    lengths = (9, 3, 5, 12, 1, 4, 7, 6, 8, 2)
    sequences = [moving_sequence(f"s{k}", length, step=(k, 6 - k)) for k, length in enumerate(lengths)]
    alone = collect(fake_tracker(), sequences, 1)
    for batch, order in ((2, sequences), (3, sequences[::-1]), (16, sequences)):  # 16: crops are cut by threads
        tracker = fake_tracker()
        together = collect(tracker, order, batch)
        assert together.keys() == alone.keys()
        for name, rows in alone.items():
            np.testing.assert_array_equal(together[name], rows)
        assert max(tracker.method.network.calls) <= batch
    assert len(tracker.method.network.calls) == max(lengths) - 1  # all fit: as many steps as the longest has


def test_places_of_sequences_that_end_are_taken_by_the_next_ones():
    tracker = fake_tracker()
    sequences = [moving_sequence(f"s{k}", length) for k, length in enumerate((6, 3, 4))]
    collect(tracker, sequences, 2)
    assert tracker.method.network.calls == [2, 2, 1, 2, 2, 1]  # the third starts in step 4, while the first moves alone


def test_the_seconds_of_a_step_are_shared_by_its_sequences(monkeypatch):
    """Their sum over all files is the time that passed."""
    clock, seconds, tracker = [0.0], {}, fake_tracker()

    def taking(step, work):
        def run(*given):
            clock[0] += step
            return work(*given)

        return run

    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(tracker, "start", taking(4.0, tracker.start))
    monkeypatch.setattr(tracker, "track", taking(6.0, tracker.track))
    sequences = [moving_sequence("short", 2), moving_sequence("long", 4)]
    engine.follow(tracker, sequences, lambda name, boxes, rows, sure: seconds.update({name: rows}), batch=2)
    assert seconds["short"].tolist() == [[2, 2], [3, 3]]
    assert seconds["long"].tolist() == [[2, 2], [3, 3], [6, 6], [6, 6]]


def test_unreadable_frame_in_a_batch_keeps_what_ended_before(tmp_path):
    sequences = [moving_sequence("short", 3), moving_sequence("long", 30, broken=20), moving_sequence("other", 30)]
    with pytest.raises(InputError, match="/data/moving/000020.png"):
        follow(fake_tracker(), sequences, functools.partial(write_result, tmp_path), batch=3)
    assert {path.stem for path in tmp_path.iterdir()} == {"short", "short_time", "short_confidence"}


def test_no_more_than_a_few_frames_are_in_memory():
    class Counted(type(moving_sequence("any").frames)):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    read, seen = [], []
    sequence = moving_sequence("any", length=20)
    counted = replace(sequence, frames=Counted(sequence.boxes.astype(int)))
    follow(fake_tracker(), [counted], lambda *result: None, lambda count: seen.append(len(read)), batch=1)
    assert sorted(read) == list(range(20))
    assert all(ahead <= done + 1 + DEPTH for done, ahead in enumerate(seen))


@pytest.mark.parametrize("name", TRACKERS)
def test_batched_is_alone_for_every_tracker(name):
    """On the frames of the bundled sequence, from several first boxes, with networks of random weights."""
    (demo,) = read_folder(ROOT / "docs" / "demo_sequence")
    tracker = micro.tracker(name)
    shifts = ((0, 0, 0, 0), (30, -10, 8, 4), (-25, 15, 0, 20))
    boxes = [demo.boxes[:1] + np.array(shift, float) for shift in shifts]
    sequences = [
        Sequence(f"{name} {k}", replace(demo.frames, paths=tuple(p[k : k + 4 + 2 * k] for p in demo.frames.paths)), box)
        for k, box in enumerate(boxes)
    ]
    check_batched_is_alone(tracker, sequences, batch=2)


@pytest.mark.skipif("RGBT_SEQUENCES" not in os.environ, reason="RGBT_SEQUENCES names no folder of real sequences")
@pytest.mark.parametrize("name", TRACKERS)
def test_batched_is_alone_on_every_real_sequence(name):
    """RGBT_SEQUENCES: any folder of sequences, visible or visible and infrared; 30 frames of each count."""
    found = read_folder(os.environ["RGBT_SEQUENCES"])
    few = [
        replace(one, frames=replace(one.frames, paths=tuple(paths[:30] for paths in one.frames.paths))) for one in found
    ]
    check_batched_is_alone(micro.tracker(name), few, batch=4)


def check_batched_is_alone(tracker, sequences, *, batch):
    alone, together = (collect(tracker, sequences, size) for size in (1, batch))
    assert alone.keys() == together.keys() == {sequence.name for sequence in sequences}
    for name, rows in alone.items():
        assert np.isfinite(rows).all()
        np.testing.assert_allclose(together[name], rows, rtol=0, atol=1e-3, err_msg=name)


def test_sequence_without_a_first_box_is_named():
    sequence = moving_sequence("lonely")
    lonely = type(sequence)("lonely", sequence.frames, np.zeros((0, 4)))
    with pytest.raises(InputError, match="lonely: no box for the first frame"):
        follow(fake_tracker(), [lonely], lambda *result: None)


def test_next_frame_is_decoded_while_this_one_is_used():
    class SlowFrames(type(moving_sequence("any").frames)):
        def __getitem__(self, index):
            started.append(index)
            return super().__getitem__(index)

    started = []
    frames = read_ahead(SlowFrames(moving_sequence("any", length=3).boxes.astype(int)))
    next(frames)
    deadline = time.monotonic() + 5
    while started != [0, 1] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert started == [0, 1]
    assert len(list(frames)) == 2 and started == [0, 1, 2]


def test_devices_in_turns_over_the_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_devices("auto", 5, 2) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    assert choose_devices("cpu", 0, 1) == choose_devices("cpu", 1, 4) == ["cpu"]
    with pytest.raises(InputError, match="--num_gpus 3: this machine has 2"):
        choose_devices("cuda", 3, 3)


def test_absent_device_is_one_line(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda: this machine or this PyTorch has none"):
        choose_devices("cuda", 0, 1)
