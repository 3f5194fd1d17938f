"""A small DaSiamRPN, trained here in under a minute: what left the frame is found again by the long-term mode alone."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.datasets.sequence import VISIBLE, Frames, Sequence
from lib.models import build_method, build_model
from lib.test.metrics.measure import overlap
from lib.test.tracker.crop_tracker import CropTracker
from lib.train.data.loader import build_loader
from lib.train.data.sample import read_batches

SIZE = (320, 256)  # width, height
STEPS, BATCH = 200, 8
AWAY = range(14, 24)  # frames without the target
CHANGES = [
    "TRAIN.NUM_WORKER=0", f"TRAIN.BATCH_SIZE={BATCH}", f"DATA.TRAIN.SAMPLE_PER_EPOCH={BATCH * STEPS}",
    "DATA.TRAIN.DATASETS_NAME=[x]", "MODEL.BACKBONE.WIDTH=0.125", "DATA.PAIRS.SHARES=[0.5,0.1,0.2,0.2]",
    "DATA.SEARCH.BLUR=0", "DATA.SEARCH.MOTION_BLUR=0", "DATA.GREY=0",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Toys(Frames):
    """A board of coloured squares in front of a soft background."""

    background: np.ndarray
    board: np.ndarray
    boxes: np.ndarray
    modalities: tuple[str, ...] = (VISIBLE,)

    def __len__(self):
        return len(self.boxes)

    def __getitem__(self, index):
        image, (x, y, w, h) = self.background.copy(), self.boxes[index].astype(int)
        if w:
            image[y : y + h, x : x + w] = cv2.resize(self.board, (w, h), interpolation=cv2.INTER_NEAREST)
        return [image]


def toy(seed, boxes=None):
    """A video; without boxes its board is somewhere else in each of eight frames."""
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(rng.uniform(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.float32), (0, 0), 9)
    background = (128 + 18 * (soft - soft.mean()) / soft.std()).clip(0, 255).astype(np.uint8)
    board = rng.choice([0, 255], (5, 4, 3)).astype(np.uint8)
    if boxes is None:
        extent = rng.integers(26, 44, 2)
        boxes = np.array([[*rng.integers(40, 170, 2), *extent] for _ in range(8)], float)
    known = {"category": "ab"[seed % 2], "video": f"v{seed}", "size": SIZE}
    return Sequence(f"toy{seed}", Toys(background, board, boxes), boxes, **known)


def leaving(seed):
    """A board that moves, is away for ten frames and comes back in the opposite corner."""
    boxes = np.zeros((50, 4))
    for frame in range(AWAY.start):
        boxes[frame] = [30 + 2 * frame, 40 + frame, 34, 34]
    for frame in range(AWAY.stop, 50):
        boxes[frame] = [250 - 2 * (frame - AWAY.stop), 190, 34, 34]
    return toy(seed, boxes)


def train():
    cfg = load_config("dasiamrpn", "synthetic_small_lt", CHANGES)
    torch.manual_seed(0)
    model = build_model(cfg)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    videos = [toy(seed) for seed in range(60)]
    for sample in read_batches(build_loader(cfg, [videos], stage=0)):
        batch = sample.batch.normalised(model.normalize)
        optimizer.zero_grad()
        sum(model.step(batch)[0].values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    return cfg, model.state_dict()


def follow(cfg, weights, seeds):
    """Overlaps and scores of some videos: [V, 49], [V, 49]."""
    model = build_model(cfg)
    model.load_state_dict(weights)
    tracker, rows = CropTracker(build_method(model, cfg), "cpu"), []
    for seed in seeds:
        video = leaving(seed)
        targets, boxes, scores = tracker.start([video.frames[0]], [video.boxes[0]]), [], []
        for frame in range(1, len(video)):
            targets = tracker.track(targets, [video.frames[frame]])
            boxes.append(targets[0].box)
            scores.append(targets[0].score)
        present = video.boxes[1:, 2] > 0
        rows.append((np.where(present, overlap(video.boxes[1:], np.array(boxes)), 0), scores))
    return (np.array(part) for part in zip(*rows, strict=True))


@pytest.mark.slow
def test_long_term_mode_finds_what_short_term_mode_has_lost():
    cfg, weights = train()
    before, away = slice(0, AWAY.start - 1), slice(AWAY.start, AWAY.stop - 1)
    cfg.TEST.MODE = "plain"
    _, scores = follow(cfg, weights, (2001, 2002, 2003))
    on, off = scores[:, before].mean(), scores[:, away].mean()
    assert on > off + 0.2, "the score does not tell whether the target is there"
    short, _ = follow(cfg, weights, range(1001, 1007))
    cfg.TEST.MODE = "long_term"
    # Thresholds belong to weights: between the scores of other videos, with and without their target.
    cfg.TEST.LONG_TERM.LOW, cfg.TEST.LONG_TERM.HIGH = off + 0.35 * (on - off), off + 0.5 * (on - off)
    long, _ = follow(cfg, weights, range(1001, 1007))
    table = np.stack(
        [short[:, before].mean(1), short[:, -10:].mean(1), long[:, before].mean(1), long[:, -10:].mean(1)], 1
    )
    print(f"\nscores {on:.2f} with, {off:.2f} without the target\n", table.round(2))
    assert (table[:, 0] > 0.7).all() and (table[:, 2] > 0.7).all()
    assert (table[:, 1] < 0.1).all(), "the target came back where the short-term mode looked"
    assert (table[:, 3] > 0.6).sum() >= 4, table
