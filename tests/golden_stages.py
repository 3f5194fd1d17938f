"""Stages of the discriminative trackers beside what the golden files say of them, on any device.

A stage is its name, the tensor that this toolbox computes, and the record that `golden_discriminative.worst` compares
it with. Tests and `golden_device.py` go through them.
"""

import functools
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import golden_discriminative as golden
import numpy as np
import torch
from torch import Tensor

from lib.layers.filters.box_optimizer import BoxSteps, climb
from lib.layers.filters.fourier import interpolate
from lib.layers.filters.response import ResponseRules, activate, learn_both, learn_filter, project, respond
from lib.layers.filters.target_filter import apply_filter, radius_map

CPU = torch.device("cpu")
DIMP = ("dimp50", "superdimp", "prdimp50")
Stages = Iterator[tuple[str, Tensor, Any]]
Named = Iterator[tuple[str, Tensor]]


def beside(name: str, make: Callable[[torch.device], Named]) -> Callable[[torch.device], Stages]:
    """Named tensors, computed without gradients, with the records of a golden file."""

    @torch.no_grad()
    def stages(device: torch.device) -> Stages:
        known = golden.read(name)["stages"]
        for stage, tensor in make(device):
            yield stage, tensor, known[stage]

    return stages


def _dimp(name: str, device: torch.device) -> Named:
    """The trunk, the filter learned from three images, scores, IoU-Net."""
    model, known = golden.public_model(name).to(device), golden.read(name)["recipe"]
    maps = [model.extract(image.to(device)) for image in golden.inputs(name)]
    yield from _trunk(maps)
    yield from _filters(name, model, maps)
    first = torch.tensor(known["train_boxes_xywh"], device=device)[:1]
    proposals = torch.tensor(known["test_proposals_xywh"], device=device)[None]
    yield from _boxes(name, model.iou_net, maps, first, proposals)


def _trunk(maps: list[Any]) -> Named:
    for part, own in zip(("train", "test"), maps, strict=True):
        yield f"backbone.{part}.layer2", own.fine
        yield f"backbone.{part}.layer3", own.coarse


def _filters(name: str, model: Any, maps: list[Any]) -> Named:
    train, test = (model.classifier.extract(own.coarse) for own in maps)
    yield "clf_feat.train (images,sequences,C,H,W)", train[:, None]
    yield "clf_feat.test", test[:, None]
    boxes = torch.tensor(golden.read(name)["recipe"]["train_boxes_xywh"], device=train.device)[None]
    optimizer, first = model.classifier.filter_optimizer, model.classifier.filter_initializer(train[None], boxes)
    target = optimizer.make_target(train[None], boxes, model.classifier.size)
    if name == "prdimp50":
        yield "optimizer.label_density (3,1,H,W)", target[0, :, None]
    else:
        stages = ("optimizer.label_map (3,H,W)", "optimizer.target_mask", "optimizer.spatial_weight")
        yield from ((stage, part[0]) for stage, part in zip(stages, target, strict=True))
    course = optimizer(first, train[None], boxes, iterations=5, with_losses=True)
    yield "filter.init", course.filters[0]
    yield from ((f"filter.iter{step}", course.filters[step]) for step in range(1, 6))
    yield "filter.iter5_minus_init", course.filters[5] - course.filters[0]
    yield "filter.losses (6)", torch.cat(course.losses)
    yield "score.test.init", apply_filter(test[:, None], course.filters[0])
    scores = apply_filter(test[:, None], course.filters[5])
    yield "score.test.iter5", scores
    yield "score.train.iter5", apply_filter(train[None], course.filters[5])[0][:, None]
    if name == "prdimp50":
        yield "score.test.iter5.softmax", model.likelihood(scores)
    shares = torch.tensor([[0.5, 0.3, 0.2]], device=train.device)
    weighted = optimizer(first, train[None], boxes, shares, iterations=5, with_losses=True)
    yield "filter.iter5_minus_init.sample_weight_.5_.3_.2", weighted.filters[5] - weighted.filters[0]
    yield "filter.losses.sample_weight", torch.cat(weighted.losses)


def _boxes(name: str, network: Any, maps: list[Any], box: Tensor, proposals: Tensor) -> Named:
    """Every stage of IoU-Net. maps: of the training images, whose first shows the target, and of the test image."""
    modulation, features = network.modulate(*(part[:1] for part in maps[0]), box), network.embed(*maps[1])
    yield "iou.modulation3 (fc34_3r)", modulation.fine
    yield "iou.modulation4 (fc34_4r)", modulation.coarse
    yield "iou.feat3 (test)", features.fine
    yield "iou.feat4 (test)", features.coarse
    with torch.enable_grad():
        free = proposals.clone().requires_grad_()
        found = network(modulation, features, free)
        (slope,) = torch.autograd.grad(found.sum(), free)
    yield "iou.pred (1,8)", found
    yield "iou.grad_wrt_boxes (1,8,4)", slope
    stages = golden.read(name)["stages"]
    (refined,) = (stage for stage in stages if stage.startswith("iou.refined_boxes"))
    steps = BoxSteps(10, 0.0025, relative=True) if "relative" in refined else BoxSteps(5, 1.0, relative=False)
    boxes, scores = climb(lambda boxes: network(modulation, features, boxes), proposals, steps)
    yield refined, boxes[0]
    yield "iou.refined_iou (at the last but one iterate)", scores[0]
    again = "iou.refined_iou_recomputed (at the returned boxes)"
    if again in stages:
        yield again, network(modulation, features, boxes)


def _atom(device: torch.device) -> Named:
    """The trunk and IoU-Net."""
    model, known = golden.public_model("atom").to(device), golden.read("atom")["recipe"]
    maps = [model.extract(image.to(device)) for image in golden.inputs("atom")]
    yield from _trunk(maps)
    for part, own in zip(("train", "test"), maps, strict=True):
        yield f"clf.samples_normalised.{part}", model.features(own)
    first, proposals = (torch.tensor([known[key]], device=device) for key in ("target_box_xywh", "proposals_xywh"))
    yield from _boxes("atom", model.iou_net, maps, first, proposals)


RULES = ResponseRules(least=0.05, filter_regularization=0.1, projection_regularization=1e-4)
CELLS, STRIDE = 18, 16


def atom_samples(device: torch.device = CPU) -> tuple[tuple[Tensor, ...], ...]:
    """The recipe's features [4, 256, 18, 18] and labels [4, 18, 18], those of the test image, and where filter and
    projection begin."""
    rules = golden.read("atom")["recipe"]["labels"]
    position = torch.tensor(rules["pos_yx"])
    sigma = 0.25 * np.prod(rules["base_target_sz_hw"]) ** 0.5 / STRIDE

    def label(displacement: Tensor) -> Tensor:
        centre = (CELLS / 2 + displacement / STRIDE).to(device)
        return torch.exp(-0.5 * (radius_map(centre, CELLS, CELLS) / sigma).square())

    train = golden.gauss(61, 4, 256, CELLS, CELLS).to(device)
    test = 0.7 * train[:1] + 0.7 * golden.gauss(62, 1, 256, CELLS, CELLS).to(device)
    labels = label(position - position.round() + torch.tensor(rules["shifts_yx"]).float())
    test_label = label(position - torch.tensor(rules["test_label_sample_pos"]))
    projection, filters = golden.gauss(51, 64, 256) / 16, golden.gauss(52, 1, 64, 4, 4) / 1024
    return (train, labels), (test, test_label[None]), (filters.to(device), projection.to(device))


def _atom_first(device: torch.device) -> Named:
    """Filter and projection of the first frame."""
    (train, labels), (test, test_label), (filters, projection) = atom_samples(device)
    yield "clf.labels (4,1,18,18)", labels
    yield "clf.label.test", test_label
    weights = torch.full((4,), 0.25, device=device)
    course = learn_both((filters, projection), (train, labels, weights), RULES, [10] * 6)
    for step in (1, 6):
        yield f"clf.filter.GN{step}", course[step][0]
        yield f"clf.projection_minus_init.GN{step}", course[step][1] - projection

    def loss(filters: Tensor, projection: Tensor) -> Tensor:
        response = activate(respond(project(train, projection)[None], filters)[0], RULES.least)
        norms = 0.1 * filters.square().sum() + 1e-4 * projection.square().sum()
        return (weights[:, None, None] * (response - labels).square()).sum() + norms

    yield "clf.losses (0..6 GN)", torch.stack([loss(*own) for own in course])
    compressed = project(test, course[6][1])
    yield "clf.compressed.test (1,64,18,18)", compressed
    yield "clf.score.raw (1,1,18,18)", respond(compressed[None], course[6][0])


def _atom_update(device: torch.device) -> Named:
    """The filter of a later frame."""
    (train, labels), (test, test_label), (_, projection) = atom_samples(device)
    features = project(torch.cat([train, test]), projection)[None]
    start, weights = golden.gauss(53, 1, 64, 4, 4) / 64, torch.tensor([[0.2475] * 4 + [0.01]])
    start, weights = start.to(device), weights.to(device)
    learned = learn_filter(start, (features, torch.cat([labels, test_label])[None], weights), RULES, 5)
    yield "clf.update.filter_minus_start (5 CG)", learned - start
    scores = respond(features[:, 4:], learned)
    yield "clf.update.score.raw (test, initial projection)", scores
    interpolated = interpolate(scores, STRIDE * CELLS)
    yield "clf.update.score.interpolated (1,1,288,288), centred", interpolated


atom_update = beside("atom", _atom_update)
#: Golden file -> its stages
STAGES = {
    **{name: beside(name, functools.partial(_dimp, name)) for name in DIMP},
    "atom": beside("atom", lambda device: chain(_atom(device), _atom_first(device), _atom_update(device))),
}
