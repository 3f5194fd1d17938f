"""Pictures of a batch and of the predicted boxes. N pairs, M modalities, S side of the search region, K other maps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ..core.boxes import xywh_to_cxcywh
from ..models.base import Network, PairBatch, ScoreMap
from ..models.training import TrainBatch

_SHOWN = 4  # samples of a batch
_TRUTH, _PREDICTED = (0, 255, 0), (255, 64, 64)  # RGB


class Shown(NamedTuple):
    """What the curves of a training show of a few samples."""

    name: str  # of the picture
    pixels: np.ndarray  # [H, W, 3] RGB uint8
    distributions: dict[str, np.ndarray]  # name of a histogram -> its values


def draw(model: Network, raw: TrainBatch, batch: TrainBatch) -> Shown | None:
    """The first samples of a batch; None for a kind of batch without a picture.

    raw: images as uint8; batch: the same samples, normalised, on the model's device.
    """
    if type(batch) not in PICTURES:
        return None
    name, drawing = PICTURES[type(batch)]
    pixels, distributions = drawing(model, *(whole.apply(lambda part: part[:_SHOWN]) for whole in (raw, batch)))
    return Shown(name, pixels, {key: values.float().cpu().numpy() for key, values in distributions.items()})


@torch.no_grad()
def draw_pairs(model: Network, raw: PairBatch, batch: PairBatch) -> tuple[np.ndarray, dict[str, Tensor]]:
    """A picture and the network's `distributions`. The picture has one row per pair: template and search region of each
    modality, score map, the network's `inner_maps`: [N * S, (2 M + 1 + K) * S, 3] RGB uint8.

    raw: images as uint8; batch: the same samples, normalised, on the model's device. True boxes are green, predicted
    ones red. Inner maps reach from black, their lowest value in the pair, to white.
    """
    memory = model.embed(batch.template, xywh_to_cxcywh(batch.template_box))
    prediction = model(memory, batch.search)
    boxes = model.read(prediction).float().cpu().numpy()
    likely = model.score_map(prediction) or ScoreMap(batch.search.new_zeros(len(boxes), 1, 1), 0.5, 1.0)
    maps = [likely, *(one._replace(scores=_to_unit_range(one.scores)) for one in model.inner_maps(prediction))]
    rows = []
    for number, found in enumerate(boxes):
        templates, regions = _to_images(raw.template[number]), _to_images(raw.search[number])
        side = regions[0].shape[0]
        found_corner = np.concatenate([found[:2] - found[2:] / 2, found[2:]])
        for region in regions:
            _draw_box(region, raw.search_box[number].numpy(), _TRUTH)
            _draw_box(region, found_corner, _PREDICTED)
        shown = [_spread((one.scores[number] * 255).float().cpu().numpy().astype(np.uint8), side, one) for one in maps]
        small = [cv2.resize(template, (side, side)) for template in templates]
        rows.append(
            np.concatenate([*small, *regions, *(np.repeat(one[..., None], 3, axis=2) for one in shown)], axis=1)
        )
    return np.concatenate(rows), model.distributions(prediction)


def _to_unit_range(scores: Tensor) -> Tensor:
    """[N, n, n] -> the same, each map from 0 to 1."""
    low, high = scores.amin((1, 2), keepdim=True), scores.amax((1, 2), keepdim=True)
    return (scores - low) / (high - low).clamp(min=1e-6)


def _to_images(modalities: Tensor) -> list[np.ndarray]:
    """[M, 3, S, S] uint8 -> M times [S, S, 3], which can be drawn on"""
    return [np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()) for image in modalities]


def _spread(scores: np.ndarray, side: int, likely: ScoreMap) -> np.ndarray:
    """[n, n] -> [side, side]: each cell at its place in the search region, 0 elsewhere."""
    step, first = likely.step * side, (likely.first - likely.step / 2) * side
    shift = first + step / 2 - 0.5
    return cv2.warpAffine(scores, np.array([[step, 0, shift], [0, step, shift]]), (side, side), flags=cv2.INTER_NEAREST)


def _draw_box(image: np.ndarray, box: np.ndarray, colour: tuple[int, int, int]) -> None:
    """box: xywh in units of the image's side."""
    x, y, w, h = (int(value) for value in np.clip(np.nan_to_num(box), -1, 2) * image.shape[0])
    cv2.rectangle(image, (x, y), (x + w, y + h), colour)


#: Kind of batch -> name and drawing of its picture
PICTURES: dict[type, tuple[str, Callable[[Network, Any, Any], tuple[np.ndarray, dict[str, Tensor]]]]] = {
    PairBatch: ("pairs", draw_pairs)
}
