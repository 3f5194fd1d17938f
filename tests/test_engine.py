import functools
import os
import time

import numpy as np
import pytest
from fake_model import fake_tracker, follow_alone, moving_sequence

from lib.core.errors import InputError
from lib.datasets.annotation import read_numbers
from lib.test.engine import Job, choose_devices, follow, follow_steps, read_ahead, run_job
from lib.test.results import finished, read_both_seconds, read_result, write_result


def run(folder, sequences, devices=("cpu",), build=fake_tracker):
    """What tracking/test.py does: skip what is finished, follow the rest."""
    pending = [sequence for sequence in sequences if not finished(folder, sequence)]
    run_job(Job(build, functools.partial(write_result, folder), pending), devices)
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
    assert read_numbers(tmp_path / "gone_confidence.txt", 2)[:, 0].tolist() == [1, 0, 0, 0]


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


def test_longest_sequences_come_first(tmp_path):
    saved = []
    sequences = [moving_sequence("short", 3), moving_sequence("long", 9), moving_sequence("middle", 5)]
    run_job(Job(fake_tracker, lambda name, boxes, seconds, confidence: saved.append(name), sequences), ["cpu"])
    assert saved == ["long", "middle", "short"]
    job = Job(fake_tracker, lambda name, boxes, seconds, confidence: saved.append(name), sequences, in_order=True)
    run_job(job, ["cpu"])
    assert saved[3:] == ["short", "long", "middle"]


def test_sequence_without_a_first_box_is_named():
    sequence = moving_sequence("lonely")
    lonely = type(sequence)("lonely", sequence.frames, np.zeros((0, 4)))
    with pytest.raises(InputError, match="lonely: no box for the first frame"):
        next(follow_steps(fake_tracker(), lonely))


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
