"""Speed of the loader in training pairs, the share of decoding in it, and what scaled decoding and packing change."""

import copy
import dataclasses
import itertools
import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from easydict import EasyDict

from ...core.measure.benchmark import machine_words
from ...core.table import Table
from ...datasets.readers.folder import read_folder
from ...datasets.sequence import INFRARED, VISIBLE, Frames, Sequence
from ...datasets.synthetic import stream
from ...datasets.synthetic.writer import write_sequences
from ..data.loader import build_loader
from ..data.sample import read_batches

SEQUENCES, FRAMES = 8, 12
LARGEST = 720  # largest side of a synthetic frame, pixels
#: sqrt(w h) in LasHeR's test annotation, all sequences with equal weight: median in pixels of 640 x 480, and standard
#: deviation of the logarithm
LASHER_SIZE, LASHER_SPREAD = 64.0, 0.58


@dataclass(frozen=True)
class LoadingVariant:
    """A number of loader processes, with or without scaled decoding, on single files or on a packed set."""

    workers: int
    scaled: bool
    packed: bool = False

    @property
    def name(self) -> str:
        """Its name in tables."""
        ways = (", packed" if self.packed else "") + (", scaled decoding" if self.scaled else "")
        return f"{self.workers} worker{'' if self.workers == 1 else 's'}{ways}"


@dataclass
class TimedFrames(Frames):
    """Frames that measure the time of reading, and record the reductions."""

    frames: Frames
    modalities: tuple[str, ...]
    seconds: float = 0.0  # core time of this process
    reductions: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        begin = time.process_time()
        images = self.frames.reduced(index, reduction)
        self.seconds += time.process_time() - begin
        self.reductions.append(reduction)
        return images


def make_pairs(
    folder: Path,
    photos: Path,
    size: tuple[int, int],
    *,
    sequences: int = SEQUENCES,
    frames: int = FRAMES,
    seed: int = 0,
) -> list[Sequence]:
    """Synthetic sequences as JPEG pairs on disk, with boxes as large as LasHeR's; size: (width, height).

    Frames larger than LARGEST are continued by mirror images, with the same detail and the same bytes per pixel.
    """
    parts = -(-max(size) // LARGEST)
    drawn = (-(-size[0] // parts), -(-size[1] // parts))
    made = stream(photos, sequences, held_out=True, frames=frames, size=drawn, seed=seed)
    tiled = [Sequence(one.name, Mirrored(one.frames, size), one.boxes, attributes=one.attributes) for one in made]
    write_sequences(tiled, folder, recipe="benchmark")
    read = enumerate(read_folder(folder / "testingset"))
    return [with_boxes(sequence, size, seed=number) for number, sequence in read]


@dataclass
class Mirrored(Frames):
    """Frames continued to (width, height) by their mirror images."""

    frames: Frames
    size: tuple[int, int]
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return [self._continue(image) for image in self.frames[index]]

    def _continue(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        index = (np.arange(self.size[1]) % (2 * height), np.arange(self.size[0]) % (2 * width))
        rows, columns = (np.minimum(one, 2 * side - 1 - one) for one, side in zip(index, (height, width), strict=True))
        return image[rows[:, None], columns]


def with_boxes(sequence: Sequence, size: tuple[int, int], *, seed: int) -> Sequence:
    """The sequence with random boxes inside frames of (width, height); what the frames show does not matter."""
    rng = np.random.default_rng(seed)
    frame, number = np.array(size, np.float64), len(sequence.boxes)
    length = LASHER_SIZE * frame[1] / 480 * np.exp(rng.standard_normal(number) * LASHER_SPREAD)
    extent = np.minimum(length[:, None] * np.exp(rng.normal(0, 0.3, (number, 1)) * [1, -1]), 0.9 * frame)
    corner = rng.random((number, 2)) * (frame - extent)
    return dataclasses.replace(sequence, boxes=np.concatenate([corner, extent], axis=1), boxes_infrared=None)


def measure_loading(cfg: EasyDict, sequences: Many[Sequence], variant: LoadingVariant, *, pairs: int) -> dict[str, Any]:
    """Pairs per second of one variant, without the first batch of each process, which includes its start.

    A process uses one core, as loader processes do. Without loader processes core time is measured too, which other
    programs on the machine do not change: pairs per second of core time, and the share of reading in it.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    timed = [TimedFrames(sequence.frames, sequence.frames.modalities) for sequence in sequences]
    data = [dataclasses.replace(one, frames=frames) for one, frames in zip(sequences, timed, strict=True)]
    loader = build_loader(_with(cfg, variant, pairs), [data], stage=0)
    loader.sampler.epoch = 1  # type: ignore[attr-defined]
    batches = iter(read_batches(loader))
    list(itertools.islice(batches, max(1, variant.workers)))
    for frames in timed:
        frames.seconds = 0.0
        frames.reductions.clear()
    begin, begin_core, count = time.perf_counter(), time.process_time(), 0
    for sample in batches:
        count += sample.batch.size
    seconds, core = time.perf_counter() - begin, time.process_time() - begin_core
    record: dict[str, Any] = {"pairs": count, "seconds": seconds, "pairs_per_s": count / seconds}
    if variant.workers == 0:
        reductions = [reduction for frames in timed for reduction in frames.reductions]
        reading = sum(frames.seconds for frames in timed)
        record |= {"pairs_per_core_s": count / core, "decode_share": reading / core}
        record |= {"frame_ms": 1000 * reading / len(reductions)}
        record["reduced_share"] = float(np.mean([reduction > 1 for reduction in reductions]))
    return record


def compare_pixels(cfg: EasyDict, sequences: Many[Sequence], *, pairs: int = 64) -> dict[str, float]:
    """What scaled decoding changes: the share of changed search regions; in these, the mean and the 99th percentile of
    the differences of pixels (of 255), and the largest difference of a box, in pixels of the crop."""
    loaded = []
    for scaled in (False, True):
        loader = build_loader(_with(cfg, LoadingVariant(0, scaled), pairs), [sequences], stage=0)
        loader.sampler.epoch = 1  # type: ignore[attr-defined]
        loaded.append([sample.batch for sample in read_batches(loader)])
    images, boxes = [], []
    for whole, less in zip(*loaded, strict=True):
        gaps = (whole.search.float() - less.search.float()).abs().flatten(1)
        changed = gaps.amax(1) > 0
        images.append(gaps[changed])
        boxes.append((whole.search_box - less.search_box).abs()[changed].flatten() * whole.search.shape[-1])
    changed_pixels, changed_boxes = torch.cat(images).flatten().numpy(), torch.cat(boxes)
    total = sum(len(batch.search) for batch in loaded[0])
    if not len(changed_boxes):
        return {"changed_share": 0.0, "mean": 0.0, "percentile_99": 0.0, "box_px": 0.0}
    return {
        "changed_share": len(changed_boxes) / 4 / total,
        "mean": float(changed_pixels.mean()),
        "percentile_99": float(np.percentile(changed_pixels, 99)),
        "box_px": float(changed_boxes.max()),
    }


def summarise_loading(records: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Variant -> medians over the repetitions."""
    return {name: {key: median(run[key] for run in runs) for key in runs[0]} for name, runs in records.items()}


def gains(records: dict[str, list[dict[str, Any]]], plain: LoadingVariant, other: LoadingVariant) -> list[float]:
    """Speed of another variant / speed of a plain one, for each repetition, in ascending order."""
    rate = "pairs_per_core_s" if plain.workers == other.workers == 0 else "pairs_per_s"
    runs = zip(records[plain.name], records[other.name], strict=True)
    return sorted(after[rate] / before[rate] for before, after in runs)


def loading_table(
    summary: dict[str, dict[str, float]],
    pixels: dict[str, float],
    *,
    what: str,
    ratios: Many[float],
    packed: Many[float] = (),
) -> Table:
    """Pairs per second, with notes on how they were measured. ratios, packed: from `gains`, of scaled decoding and of
    the packed set."""
    rows = [["", "pairs/s", "pairs/s of core time", "reading and decoding", "ms a frame", "frames decoded smaller"]]
    forms = {"pairs_per_s": "{:.1f}", "pairs_per_core_s": "{:.1f}", "decode_share": "{:.0%}", "frame_ms": "{:.2f}"}
    forms["reduced_share"] = "{:.0%}"
    for name, row in summary.items():
        rows.append([name, *(form.format(row[key]) if key in row else "" for key, form in forms.items())])
    notes = [
        f"Medians of {len(ratios)} interleaved runs; {machine_words()}.",
        f"Scaled decoding makes {_range(ratios)}. It changes {pixels['changed_share']:.0%} of the search regions: "
        f"there by {pixels['mean']:.2f} of 255 on average, 99 % of the pixels by at most "
        f"{pixels['percentile_99']:.0f}, boxes by at most {pixels['box_px']:.2f} pixels of the crop.",
    ]
    if packed:
        notes.append(f"The packed set makes {_range(packed)}.")
    return Table(f"Loading training pairs: {what}", rows, tuple(notes))


def _range(ratios: Many[float]) -> str:
    least, most = f"{ratios[0]:.2f}", f"{ratios[-1]:.2f}"
    return f"{median(ratios):.2f} times as many pairs ({least} to {most} within one repetition)"


def _with(cfg: EasyDict, variant: LoadingVariant, pairs: int) -> EasyDict:
    """A copy of the configuration for one variant, with whole batches."""
    changed = copy.deepcopy(cfg)
    changed.TRAIN.NUM_WORKER, changed.DATA.SCALED_DECODE = variant.workers, variant.scaled
    batches = max(1, variant.workers) + max(1, pairs // cfg.TRAIN.BATCH_SIZE)
    changed.DATA.TRAIN.SAMPLE_PER_EPOCH = batches * cfg.TRAIN.BATCH_SIZE
    changed.DATA.TRAIN.DATASETS_RATIO = [1]
    return changed


def describe(sequences: Many[Sequence]) -> str:
    """Frame size and streams of the first sequence."""
    first = sequences[0]
    height, width = first.frames[0][0].shape[:2]
    streams = "visible" if first.frames.modalities == (VISIBLE,) else " + ".join(first.frames.modalities)
    return f"{width}x{height}, {streams}"
