"""Sequences that are stored as a seed; frames and boxes are made on access."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..mask import Masks
from ..sequence import INFRARED, VISIBLE, AnnotatedObjects, Frames, Sequence
from .attribute import attributes
from .material import list_material, load_material
from .render import render, visible_mask
from .scene import Scene
from .scene_objects import CATEGORIES, draw_theme
from .staging import stage

SIZE = (320, 256)  # (width, height): near the 360x270 of thermal cameras, and a third cheaper
TRAINING, VALIDATION = 20_000, 60  # sequences
TRAINING_FRAMES, VALIDATION_FRAMES = 48, 60
LEAVING, LEAVING_FRAMES = 20, 120
LEAST_AWAY, LEAST_BACK = 8, 30  # frames
SEED_STEP = 1_000_003  # distance between the seeds of the two splits, more than either has sequences


@dataclass(frozen=True)
class SyntheticFrames(Frames):
    """Frames that follow from a seed: the same in every process and in any order of access."""

    folder: Path  # raw material, Path("") for none
    held_out: bool  # which split of the material
    seed: int
    length: int
    size: tuple[int, int] = SIZE
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)
    leaves: bool = False  # the target leaves the frame

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[np.ndarray]:
        if not -self.length <= index < self.length:
            raise IndexError(f"frame {index} of a sequence of {self.length}")
        return render(self.scene, index % self.length, visible_only=INFRARED not in self.modalities)

    @property
    def scene(self) -> Scene:
        """The scene behind the frames; the last few scenes are cached."""
        return _scene(self)

    @property
    def category(self) -> str:
        """The target's category; the scene is not built for it."""
        material = load_material(self.folder, self.held_out)
        theme = draw_theme(np.random.default_rng(self.seed), material)  # the scene's first draw
        return CATEGORIES.get(theme, theme)


@dataclass(frozen=True)
class SyntheticMasks(Masks):
    """The target's pixels that nothing covers, in frames that follow from a seed."""

    frames: SyntheticFrames

    def __getitem__(self, index: int) -> np.ndarray:
        return visible_mask(self.frames.scene, index)


@functools.lru_cache(maxsize=8)
def _scene(frames: SyntheticFrames) -> Scene:
    material = load_material(frames.folder, frames.held_out)
    alone = INFRARED not in frames.modalities
    return stage(material, frames.seed, frames.length, frames.size, visible_only=alone, leaves=frames.leaves)


class StreamedSequence(Sequence):
    """A sequence whose annotation is computed on access."""

    def __init__(self, name: str, frames: SyntheticFrames) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "frames", frames)

    @property
    def boxes(self) -> np.ndarray:  # type: ignore[override]
        """[T, 4] float64, xywh pixels, tight around the mask before occlusion; 0,0,0,0 where out of view."""
        return self.frames.scene.boxes  # type: ignore[attr-defined]

    @property
    def visible_share(self) -> np.ndarray:  # type: ignore[override]
        """[T] share of the target that is inside the frame and not covered."""
        return self.frames.scene.visible_share  # type: ignore[attr-defined]

    @property
    def category(self) -> str:  # type: ignore[override]
        """The target's category."""
        return self.frames.category  # type: ignore[attr-defined]

    @property
    def objects(self) -> AnnotatedObjects:  # type: ignore[override]
        """The target and its distractors."""
        scene = self.frames.scene  # type: ignore[attr-defined]
        return AnnotatedObjects(scene.objects, scene.target)

    @property
    def masks(self) -> Masks:  # type: ignore[override]
        """The target's pixels."""
        return SyntheticMasks(self.frames)  # type: ignore[arg-type]

    @property
    def attributes(self) -> dict[str, bool]:  # type: ignore[override]
        """LasHeR's 19 flags."""
        return attributes(self.frames.scene)  # type: ignore[attr-defined]


def stream(
    folder: Path,
    number: int,
    *,
    held_out: bool,
    frames: int,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
    modalities: tuple[str, ...] = (VISIBLE, INFRARED),
    leaves: bool = False,
) -> list[Sequence]:
    """`number` sequences of `frames` frames from the raw material in `folder` (`Path("")`: drawn).

    held_out: use the material that training never sees. size: (width, height). modalities: both, or the visible one
    alone. leaves: the target leaves the frame, unless it is a part of the background, and there are no other objects.
    Nothing is read or drawn before the first access to a box or frame. Raises InputError that names photos_dir when
    the folder does not exist or holds no images.
    """
    if folder != Path(""):
        list_material(folder)
    split = "leaving" if leaves else "val" if held_out else "train"
    name = f"synthetic_{'' if INFRARED in modalities else 'rgb_'}{split}"
    first = seed * 2 * SEED_STEP + held_out * SEED_STEP
    return [
        StreamedSequence(
            f"{name}_{k:05d}", SyntheticFrames(folder, held_out, first + k, frames, size, modalities, leaves)
        )
        for k in range(number)
    ]


def stream_training(folder: Path) -> list[Sequence]:
    """Twenty thousand short sequences. Raises InputError as `stream` does."""
    return stream(Path(folder), TRAINING, held_out=False, frames=TRAINING_FRAMES)


def stream_validation(folder: Path) -> list[Sequence]:
    """Sixty sequences of objects and backgrounds that training never sees. Raises InputError as `stream` does."""
    return stream(Path(folder), VALIDATION, held_out=True, frames=VALIDATION_FRAMES)


def stream_visible_training(folder: Path) -> list[Sequence]:
    """As `stream_training`, without infrared: the visible stream is always informative."""
    return stream(Path(folder), TRAINING, held_out=False, frames=TRAINING_FRAMES, modalities=(VISIBLE,))


def stream_visible_validation(folder: Path) -> list[Sequence]:
    """As `stream_validation`, without infrared."""
    return stream(Path(folder), VALIDATION, held_out=True, frames=VALIDATION_FRAMES, modalities=(VISIBLE,))


def stream_visible_leaving(folder: Path) -> list[Sequence]:
    """Twenty longer sequences of validation material without infrared. The target is the only object; it leaves the
    frame for several frames and comes back to stay. Raises InputError as `stream` does."""
    drawn = stream(
        Path(folder), 20 * LEAVING, held_out=True, frames=LEAVING_FRAMES, seed=2, modalities=(VISIBLE,), leaves=True
    )
    return list(itertools.islice(filter(_comes_back, drawn), LEAVING))


def _comes_back(sequence: Sequence) -> bool:
    absent = np.flatnonzero(~sequence.valid)
    return len(absent) >= LEAST_AWAY and len(sequence) - 1 - absent[-1] >= LEAST_BACK and absent[0] >= LEAST_AWAY
