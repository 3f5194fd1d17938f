"""Compares ways to compute a tracker with the plain one, in a separate process: batched, in other precisions, with
crops cut on the device, compiled.

Every way starts where the plain one is and takes one step, in every frame: two runs go their own ways after the
smallest difference. Targets are followed from different frames of the same sequence, alone by the plain way.

A job holds script, config, set, checkpoint (""; then weights are random), modes (a list of names of `VARIANTS` of
`track`), data_dir, frames (steps of each target), batch (targets), device, threads (0: PyTorch's choice), cache.
"""

import copy
import time
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from easydict import EasyDict

from ...core.boxes import iou_and_union, xywh_to_xyxy
from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.distributed import own_device
from ...core.measure.gpu import describe_device
from ...core.measure.job import MeasurementJob, answer_job
from ...core.target import Target
from ...datasets.readers.folder import read_folder
from ...datasets.sequence import Sequence
from ...models import build_method, build_model
from ...models.base import Network
from ...models.weights import load_state
from ..tracker.crop_tracker import CropTracker
from ..tracker.forward_pass import Mode
from .track import VARIANTS


def measure(job: MeasurementJob) -> MeasurementJob:
    """Mode -> how far its boxes are from the plain way's after one step, or the error that it ended with."""
    device = own_device(job["device"])
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    cfg = load_config(job["script"], job["config"], job["set"])
    torch.manual_seed(0)
    network = build_model(cfg).eval()
    if job["checkpoint"]:
        load_state(network, load_weights(job["checkpoint"]), source=job["checkpoint"])
    course = Course(cfg, network, read_folder(job["data_dir"])[0], device, job["batch"], job["frames"])
    plain = course.follow()
    answers = {}
    for name in job["modes"]:
        begin = time.perf_counter()
        answers[name] = course.compare(name, plain) | {"seconds": time.perf_counter() - begin}
    return {"modes": answers, "targets": job["batch"], "steps": job["frames"], "device": describe_device(device)}


@dataclass(frozen=True, eq=False)
class Course:
    """Targets of one sequence: number k starts in its frame k."""

    cfg: EasyDict
    network: Network
    sequence: Sequence
    device: torch.device
    batch: int
    steps: int

    def tracker(self, mode: Mode) -> CropTracker:
        """A tracker with its own copy of the weights, which a precision changes."""
        return CropTracker(build_method(copy.deepcopy(self.network), self.cfg), self.device, mode)

    def start(self, tracker: CropTracker) -> list[Target]:
        """All targets in their first frames."""
        frames = [self.sequence.frames[number] for number in range(self.batch)]
        return tracker.start(frames, [self.sequence.boxes[number] for number in range(self.batch)])

    def follow(self) -> np.ndarray:
        """Boxes of the plain way, every target alone: [steps + 1, batch, 4]."""
        tracker = self.tracker(Mode())
        targets = self.start(tracker)
        boxes = [[target.box for target in targets]]
        for step in range(1, self.steps + 1):
            targets = [tracker.track([one], [self.frame(number, step)])[0] for number, one in enumerate(targets)]
            boxes.append([target.box for target in targets])
        return np.array(boxes)

    def frame(self, number: int, step: int) -> Any:
        """The images of a target's frame."""
        return self.sequence.frames[number + step]

    def compare(self, name: str, plain: np.ndarray) -> dict[str, Any]:
        """1 - IoU of the boxes after one step, and the largest difference of a coordinate in pixels."""
        precision, compiled, crops = VARIANTS[name]
        mode = Mode(precision, crops, compiled, self.batch)
        try:
            mode.check(self.device)
            tracker = self.tracker(mode)
            targets, found = self.start(tracker), []
            for step in range(1, self.steps + 1):
                targets = tracker.correct(targets, list(plain[step - 1]))
                targets = tracker.track(targets, [self.frame(number, step) for number in range(self.batch)])
                found.append([target.box for target in targets])
        except Exception:  # the other modes go on; a compiler raises errors of many types
            return {"error": traceback.format_exc()}
        return compare_boxes(np.array(found), plain[1:])


def compare_boxes(found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Differences of boxes [..., 4] xywh in pixels: their number, equal ones, 1 - IoU, the largest coordinate's."""
    pairs = [torch.from_numpy(xywh_to_xyxy(boxes.reshape(-1, 4))) for boxes in (found, expected)]
    gaps = 1 - iou_and_union(*pairs)[0].numpy()
    same = (found == expected).all(-1)
    gaps[same.ravel()] = 0  # also where a box has no area
    facts = {"mean": gaps.mean(), "median": np.median(gaps), "most": gaps.max(), "pixels": abs(found - expected).max()}
    return {"boxes": len(gaps), "equal": int(same.sum()), **{key: float(value) for key, value in facts.items()}}


if __name__ == "__main__":
    answer_job(measure)
