"""Annotated objects of still images: every object is a sequence of two equal frames."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .mask import FileMasks
from .sequence import VISIBLE, AnnotatedObjects, Collection, FileFrames, Sequence


@dataclass(frozen=True, eq=False)
class StillImages(Collection):
    """N objects in I images. Boxes are xywh pixels."""

    folder: Path
    names: Many[str]  # I, of the images, below `folder`
    images: np.ndarray  # [N] image of each object
    boxes: np.ndarray  # [N, 4]
    kinds: np.ndarray  # [N] category of each object, an index of `labels`
    labels: Many[str]  # the categories
    sizes: np.ndarray | None = None  # [I, 2] width and height of the images; 0, 0 where not known
    masks: Many[Path] | None = None  # I, grey images of an image's only object

    still = True

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def categories(self) -> Many[str]:
        return [self.labels[kind] for kind in self.kinds.tolist()]

    def make(self, index: int) -> Sequence:
        image = int(self.images[index])
        path = self.folder / self.names[image]
        size = None if self.sizes is None or not self.sizes[image].all() else tuple(self.sizes[image].tolist())
        return Sequence(
            f"{path.stem}_{index}",
            FileFrames(((path, path),), (VISIBLE,)),
            np.repeat(self.boxes[index][None], 2, axis=0),
            size=size,  # type: ignore[arg-type]
            category=self.labels[self.kinds[index]],
            video=self.names[image],
            objects=AnnotatedObjects(self._objects(image), index),
            masks=None if self.masks is None else FileMasks((self.masks[image],) * 2),
        )

    @cached_property
    def _order(self) -> np.ndarray:
        """[N] the objects, those of one image adjacent."""
        return np.argsort(self.images, kind="stable")

    @cached_property
    def _sorted(self) -> np.ndarray:
        return self.images[self._order]

    def _objects(self, image: int) -> np.ndarray:
        """[2 K, 6] the objects of an image, in both of its frames."""
        own = self._order[slice(*np.searchsorted(self._sorted, [image, image + 1]))]
        frame = np.zeros((len(own), 1))
        rows = np.hstack([frame, own[:, None], self.boxes[own]])
        return np.vstack([rows, rows + [1, 0, 0, 0, 0, 0]])
