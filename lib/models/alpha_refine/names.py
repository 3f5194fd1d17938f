"""Alpha-Refine's weights under the published names, and what their keys say about the network they belong to."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ...core.errors import InputError
from ...layers.trunks.imagenet_resnet import read_depth

_PUBLIC, _OWN = "feature_extractor.", "backbone."
_SPATIAL = "neck.spatial_attention."


def rename_public(key: str) -> str:
    """The name that a key of the published code has here; an unknown key stays as it is."""
    return _OWN + key.removeprefix(_PUBLIC) if key.startswith(_PUBLIC) else key


def to_public(key: str) -> str:
    """The published name of a key."""
    return _PUBLIC + key.removeprefix(_OWN) if key.startswith(_OWN) else key


def read_layout(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration that fits weights under this toolbox's names, as far as their keys say it: depth of the
    backbone, what follows the gate of the neck (the version of 2020 has a block there), the heads.

    How the neck takes the template leaves no key.
    """
    found: dict[str, Any] = {"MODEL.BACKBONE.DEPTH": read_depth(weights, _OWN)}
    spatial = "none"
    if _has(weights, _SPATIAL):
        spatial = "nonlocal" if _has(weights, f"{_SPATIAL}theta.") else "convolutions"
    found["MODEL.NECK.SPATIAL"] = spatial
    found["MODEL.NECK.CORRELATION"] = "whole" if _has(weights, "neck.adjust.") else "pixel"
    heads = {"conv1_tl.": "CORNER", "tower.": "OFFSETS", "box_tower.": "CELLS"}
    known = [kind for part, kind in heads.items() if _has(weights, f"corner_head.{part}")]
    found["MODEL.HEAD.TYPE"] = known[0] if known else "NONE"
    found["MODEL.MASK"] = _has(weights, "mask_head.")
    return found


def check_layout(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises InputError, which says what to set, where the keys of a refiner's weights belong to another layout than
    the network's own."""
    if not _has(weights, "neck.post_corr.") or not _has(weights, f"{_OWN}layer1."):
        return  # of another network, which loading names
    given, wanted = read_layout(weights), read_layout(own)
    other = {key: value for key, value in given.items() if value != wanted[key] and value is not None}
    if other:
        changes = " ".join(
            f"{key}={str(value).lower() if value in (True, False) else value}" for key, value in other.items()
        )
        key = next(iter(other))
        raise InputError(
            f"{key}: the weights are of a refiner with {changes}, the configuration says {wanted[key]}; "
            f"use --set {changes}, or the configuration that they were trained with"
        )


def _has(keys: Iterable[str], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in keys)
