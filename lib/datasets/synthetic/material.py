"""The raw material of the synthetic scenes: images from a folder, read once per process, or drawn ones.

Images with an alpha channel are cut-outs; files with equal names in sibling folders `visible/` and `infrared/` are
aligned stills; all others are photographs.
"""

import functools
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...core.errors import InputError
from ..image import read_image
from .outline import closed_spline
from .texture import painting

log = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
MOST = {"photos": 600, "cutouts": 600, "stills": 400}  # images of each kind held in memory
LONGEST = {"photos": 320, "cutouts": 192, "stills": 420}  # their longest side, pixels
HELD_OUT = 8  # every eighth image (by a checksum of its name) is for validation only


class Cutout(NamedTuple):
    """An object cut tightly out of an image; colour is defined under the transparent part too."""

    rgb: np.ndarray  # [h, w, 3] uint8
    alpha: np.ndarray  # [h, w] uint8
    heat: np.ndarray | None  # [h, w] uint8, its true infrared where known
    family: str
    home: tuple[int, int] = (0, 0)  # x, y of its top-left pixel in the image that it was cut from


class Still(NamedTuple):
    """An aligned pair of images and the warm objects in it."""

    visible: np.ndarray  # [H, W, 3] uint8
    infrared: np.ndarray  # [H, W] uint8
    bodies: list[Cutout]


@dataclass(frozen=True)
class Material:
    """The images that scenes are made of. Read-only, since scenes share it."""

    photos: list[np.ndarray]  # [H, W, 3] uint8
    cutouts: list[Cutout]
    stills: list[Still]

    @functools.cached_property
    def bodies(self) -> list[Cutout]:
        """The warm objects of all stills."""
        return [body for still in self.stills for body in still.bodies]

    @functools.cached_property
    def families(self) -> dict[str, list[Cutout]]:
        """Cut-outs by family, in a fixed order."""
        groups: dict[str, list[Cutout]] = {}
        for cutout in self.cutouts:
            groups.setdefault(cutout.family, []).append(cutout)
        return groups


class Listing(NamedTuple):
    """The files of a folder by kind."""

    photos: list[Path]
    cutouts: list[Path]
    stills: list[tuple[Path, Path]]


@functools.lru_cache(maxsize=2)
def load_material(folder: Path, held_out: bool) -> Material:
    """The material of one split, from a folder, or drawn for `Path("")`. Raises InputError as `list_material` does."""
    if folder == Path(""):
        return _drawn(held_out)
    listing = list_material(folder)
    kept = {kind: _share(getattr(listing, kind), folder, held_out)[: MOST[kind]] for kind in MOST}
    stills = [_read_still(*pair) for pair in kept["stills"]]
    cutouts = [cutout for path in kept["cutouts"] if (cutout := _read_cutout(path)) is not None]
    photos = [_shrink(read_image(path), LONGEST["photos"]) for path in kept["photos"]]
    photos += [still.visible for still in stills] if not photos else []
    for kind, found in (("photographs", photos), ("cut-outs", cutouts)):
        if not found:
            log.warning("%s: no %s for %s; drawn ones are used", folder, kind, "validation" if held_out else "training")
    drawn = _drawn(held_out)
    return Material(photos or drawn.photos, cutouts or drawn.cutouts, stills)


def list_material(folder: Path) -> Listing:
    """Sort the images under a folder. Raises InputError that names photos_dir when there are none."""
    if not folder.is_dir():
        raise InputError(f"photos_dir {str(folder)!r} is not a folder; correct it in local.py or leave it empty")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"photos_dir {str(folder)!r} holds no images; correct it in local.py or leave it empty")
    known, listing = set(files), Listing([], [], [])
    for path in files:
        partner = path.parent.parent / "infrared" / path.name
        if path.parent.name == "visible" and partner in known:
            listing.stills.append((path, partner))
        elif path.parent.name == "infrared" and path.parent.parent / "visible" / path.name in known:
            continue
        else:
            (listing.cutouts if _has_alpha(path) else listing.photos).append(path)
    return listing


def warm_bodies(visible: np.ndarray, infrared: np.ndarray) -> list[Cutout]:
    """Compact blobs that are clearly warmer than what surrounds them (mostly people), with both appearances.

    visible: [H, W, 3], infrared: [H, W], uint8.
    """
    soft = cv2.GaussianBlur(infrared, (0, 0), 1)
    around = cv2.blur(soft, (75, 75)).astype(np.float32)
    hot = ((soft > around + 28) & (soft > 95)).astype(np.uint8)
    mask = cv2.morphologyEx(hot, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask)
    bodies = []
    for index in range(1, count):
        x, y, w, h, area = (int(value) for value in boxes[index])
        inside = x > 3 and y > 3 and x + w < mask.shape[1] - 3 and y + h < mask.shape[0] - 3
        if not (inside and 15 <= h <= 160 and 6 <= w <= 120 and 0.8 <= h / w <= 4.5 and area > 0.45 * w * h):
            continue
        part = np.s_[y - 2 : y + h + 2, x - 2 : x + w + 2]
        own = labels[part] == index
        if soft[part][own].mean() < soft[part][~own].mean() + 45:
            continue
        alpha = cv2.GaussianBlur(own.astype(np.uint8) * 255, (0, 0), 0.8)
        bodies.append(Cutout(visible[part], alpha, infrared[part], "body", (x - 2, y - 2)))
    return bodies


def _share(items: list, folder: Path, held_out: bool) -> list:
    """The items of one split in checksum order: a fixed random choice, whatever their number."""

    def checksum(item: Path | tuple[Path, Path]) -> int:
        path = item[0] if isinstance(item, tuple) else item
        return zlib.crc32(path.relative_to(folder).as_posix().encode())

    return sorted((item for item in items if (checksum(item) % HELD_OUT == 0) == held_out), key=checksum)


def _has_alpha(path: Path) -> bool:
    """Whether a PNG has an alpha channel, from its header (colour type 4 or 6, or a palette with tRNS)."""
    if path.suffix.lower() != ".png":
        return False
    with open(path, "rb") as file:
        head = file.read(4096)
    return len(head) > 25 and (head[25] in (4, 6) or b"tRNS" in head)


def _read_still(visible: Path, infrared: Path) -> Still:
    pair = _shrink(read_image(visible), LONGEST["stills"])
    heat = cv2.cvtColor(read_image(infrared), cv2.COLOR_RGB2GRAY)
    heat = cv2.resize(heat, pair.shape[1::-1], interpolation=cv2.INTER_AREA)
    return Still(pair, heat, warm_bodies(pair, heat))


def _read_cutout(path: Path) -> Cutout | None:
    """A cut-out at its alpha's box; None when nothing of it is opaque."""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f"{path}: image cannot be decoded; the file is damaged, remove it from photos_dir")
    if image.ndim != 3 or image.shape[2] != 4:
        return None
    if image.dtype != np.uint8:
        image = (image // 257).astype(np.uint8)
    x, y, w, h = cv2.boundingRect((image[..., 3] > 127).astype(np.uint8))
    if min(w, h) < 12:
        return None
    image = _shrink(image[y : y + h, x : x + w], LONGEST["cutouts"])
    family = path.stem.rsplit("__", 1)[0] if "__" in path.stem else path.parent.name
    rgb, alpha = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB), image[..., 3]
    return Cutout(_bleed(rgb, alpha), np.ascontiguousarray(alpha), None, family)


def _bleed(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Extend the object's colours into the transparent part, so that scaling does not mix in other colours."""
    weight = (alpha > 127).astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), 3)[..., None] + 1e-3
    spread = cv2.GaussianBlur(rgb * weight[..., None], (0, 0), 3) + 1e-3 * rgb[weight > 0].mean(0)
    return np.where(weight[..., None] > 0, rgb, np.clip(spread / total, 0, 255)).astype(np.uint8)


def _shrink(image: np.ndarray, longest: int) -> np.ndarray:
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA)


@functools.lru_cache(maxsize=2)
def _drawn(held_out: bool) -> Material:
    """Procedural photographs and cut-outs, from a seed of their own for each split."""
    rng = np.random.default_rng([2024, int(held_out)])
    photos = [painting(rng, 240, 320) for _ in range(32 if held_out else 96)]
    cutouts = []
    for index in range(40 if held_out else 160):
        height, width = rng.integers(48, 112, 2)
        alpha, rgb = closed_spline(rng, height, width), painting(rng, height, width)
        cutouts.append(Cutout(rgb, alpha, None, f"drawn{index // 5}"))
    return Material(photos, cutouts, [])
