"""Stages of ECO, RT-MDNet and SiamMask beside what the golden files say of them, on any device: see golden_stages."""

import functools
import re
from typing import Any

import golden_discriminative as golden
import golden_online
import golden_pysot
import numpy as np
import torch
from golden_stages import CPU, Named, Stages, beside
from torch import Tensor
from torch.nn.functional import conv2d, linear, max_pool2d

from lib.core.config import load_config
from lib.layers.filters import fourier
from lib.layers.filters.eco_filter import Penalty
from lib.layers.roi_align import roi_align
from lib.layers.siamese.mask_windows import Cells
from lib.layers.trunks.mdnet import STRIDE, HeadWeights, score_boxes
from lib.models.online.box_regression import fit_regressor
from lib.models.online.mdnet_scene import read_boxes, scene_around


def _eco(device: torch.device) -> Named:
    """The features."""
    model, rule = golden_online.original_model("eco").to(device), golden.read("eco")["recipe"]["inputs"]["x"]
    images = model.normalize(golden_online.pixels(rule["seed"], rule["shape"])[:, None].to(device))
    seen: dict[str, Tensor] = {}
    model.resnet.register_forward_hook(lambda *given: seen.update(given[2]))
    maps, first = model(None, images), model.vggmconv1
    yield "vggmconv1 conv output before relu", conv2d(images[:, 0], first.weight, first.bias, stride=2, padding=3)
    yield "vggconv1 (stride 2, relu, LRN)", first(images[:, 0])
    yield "layer3 (stride 16)", seen["layer3"]
    yield "vggconv1.feature (avg-pool 2, power-2 normalised)", maps.shallow
    yield "layer3.feature (power-2 normalised)", maps.deep


def eco_fourier(name: str, number: int, device: torch.device = CPU) -> Stages:
    """ECO's Fourier constants of a feature, and what they make of a map."""
    known, test = golden.read("eco"), load_config("eco", "eco").TEST
    record, recipe = known["fourier"][name], known["recipe"]["fourier"]
    (count, _), size, target = record["filter_sz"], recipe["img_support_sz"], recipe["base_target_sz_hw"]
    rows, columns = fourier.cubic_kernel(count, test.KERNEL_SLOPE, device)
    seed, *shape = map(int, re.findall(r"\d+", record["test_map"]))
    series = fourier.to_series(golden.gauss(seed, *shape).to(device))
    interpolated = series * rows * columns
    sigma = test.SIGMA[number] * (target[0] * target[1]) ** 0.5 / size * count
    penalty = Penalty(test.LEAST[number], test.EDGE[number], test.SPARSITY[number])
    found = {
        "hann_window": fourier.inner_hann(record["feature_sz"], device),
        "interp_y_real_imag": rows,
        "interp_x_real_imag": columns,
        "label_fourier": fourier.gaussian_label(count, sigma, device),
        "reg_filter": penalty.kernel(size, target, device),
        "cfft2": series,
        "interpolated_dft": interpolated,
        "sampled_on_support": fourier.sample(interpolated, size),
        "shifted_by_0p3_m0p7": fourier.shift(interpolated, torch.tensor([0.3, -0.7], device=device)),
    }
    for key, tensor in found.items():
        yield key, torch.view_as_real(tensor) if tensor.is_complex() else tensor, record[key]


def rt_mdnet_head(model: Any) -> HeadWeights:
    """The layers behind RT-MDNet's map, with the recipe's branch."""
    shared, branch = model.first_weights(torch.Generator()), golden_online.original_weights("rt_mdnet")
    device = next(model.parameters()).device
    own = (branch[f"branches.0.1.{key}"].to(device) for key in ("weight", "bias"))
    return HeadWeights(*(part.to(device) for part in shared[:4]), *own)


def _rt_mdnet(device: torch.device) -> Named:
    """The network."""
    model, known = golden_online.original_model("rt_mdnet").to(device), golden.read("rt_mdnet")
    rule = known["recipe"]["inputs"]["x"]
    x = golden_online.pixels(rule["seed"], rule["shape"]).to(device) - 128
    for name in ("conv1", "conv2", "conv3"):
        x = model.layers.get_submodule(name)(x)
        yield name, x
    rois = torch.tensor(known["rois_batch_x1y1x2y2"], device=device)
    seven = roi_align(x, rois[:, 1:], 1 / STRIDE, image=rois[:, 0].long())
    yield "roi.samples_7x7 (8,512,7,7)", seven
    features = max_pool2d(seven, 3, 2)
    yield "roi.features (8,512,3,3)", features
    weights, flat = rt_mdnet_head(model), features.flatten(1)
    hidden = linear(flat, weights.fc4, weights.fc4_bias).relu()
    yield "fc4", hidden
    yield "fc5", linear(hidden, weights.fc5, weights.fc5_bias).relu()
    yield "fc6 scores (8,2)", score_boxes(weights, flat)


@torch.no_grad()
def rt_mdnet_scene(device: torch.device = CPU) -> Stages:
    """RT-MDNet from a frame to the scores of candidates, and its box regression."""
    model, known = golden_online.original_model("rt_mdnet").to(device), golden.read("rt_mdnet")
    pipeline, ridge = known["pipeline"], known["bbox_regression"]
    image = torch.from_numpy(golden_online.image_u8(31, 240, 320)).permute(2, 0, 1).to(device)
    boxes = np.array(pipeline["candidates_xywh"], np.float32)
    scene = scene_around(boxes, np.array(pipeline["target_xywh"]), 107, 1.2)
    seen: dict[str, Tensor] = {}
    parts = {"crop_minus_128": model.normalize, "conv3": model.layers.conv3}
    for key, part in parts.items():
        part.register_forward_hook(lambda module, given, made, key=key: seen.update({key: made}))

    def read(boxes: Tensor) -> Tensor:
        return read_boxes(model, image, torch.zeros(2, device=device), scene, boxes, 1.2)

    features = read(torch.from_numpy(boxes).to(device))
    yield from ((key, tensor, pipeline[key]) for key, tensor in list(seen.items()))
    yield "roi_features", features.unflatten(1, (512, 3, 3)), pipeline["roi_features"]
    yield "scores", score_boxes(rt_mdnet_head(model), features), pipeline["scores"]
    examples, truth = (torch.tensor(ridge[key], device=device) for key in ("examples_xywh", "gt_xywh"))
    yield "coef", fit_regressor(read(examples), examples, truth, 1000.0).weight, ridge["coef"]


def _siammask(device: torch.device) -> Named:
    """The network, and the refined masks of three cells."""
    name = "siammask_r50_l3"
    model = golden_pysot.public_model(name).to(device)
    images = [image.to(device) for image in golden_pysot.inputs(name)]
    for time, image in zip("zx", images, strict=True):
        maps = model.backbone(image)
        levels = ((1, "stem"), (2, "layer1"), (3, "layer2"), (4, "layer3"))
        yield from ((f"backbone.{time}.{stage}", maps[level][:, 0]) for level, stage in levels)
        features = model.neck(maps, template=time == "z")[:, 0, 0]
        yield f"neck.{time}", features
    memory = model.embed(images[0])
    yield "mask.conv_kernel", memory.mask_kernel
    yield "mask.conv_search", model.mask_head.conv_search(features)
    found = model(memory, images[1])
    yield "head.cls", found.logits.flatten(1, 2)
    yield "head.loc", found.deltas.flatten(1, 2)
    yield "mask.corr_feature", found.correlation
    yield "mask.coarse", model.mask_head.read(found.correlation)
    yield from _refined(model, found, golden.read(name)["stages"])


def _refined(model: Any, found: Any, known: Any) -> Named:
    """The refinement at three cells, with what its parts give on the way."""
    parts: dict[str, Tensor] = {}
    hooks = [
        part.register_forward_hook(lambda module, given, made, name=name: parts.update({name: made}))
        for name, part in model.refine_head.named_children()
    ]
    two = torch.arange(2, device=found.logits.device)
    for row, column in ((3, 20), (0, 24), (12, 12)):
        places = (torch.full_like(two, place) for place in (row, column))
        logits = model.masks(found, Cells(two, *places))
        prefix = f"refine.{row}_{column}."
        for stage in (stage for stage in known if stage.startswith(prefix)):
            own = stage.removeprefix(prefix)
            yield stage, logits.flatten(1) if own == "logits" else parts[own]
    for hook in hooks:
        hook.remove()


#: Stages by golden file
STAGES = {
    "eco": beside("eco", _eco),
    "rt_mdnet": beside("rt_mdnet", _rt_mdnet),
    "siammask_r50_l3": beside("siammask_r50_l3", _siammask),
}
#: Golden file -> what it holds beside its stages
FURTHER = {
    "eco": [functools.partial(eco_fourier, name, number) for number, name in enumerate(("vggconv1", "layer3"))],
    "rt_mdnet": [rt_mdnet_scene],
}
