"""Small networks of every tracker: what tests run in a moment. A new tracker adds its entries to `VARIANTS`."""

from collections.abc import Sequence

import torch
import toy_learner
import yaml
from easydict import EasyDict

from lib.core.config import flatten, load_config, nest
from lib.models import TRACKERS, build_method, build_model, network_class
from lib.models.base import Network, PairBatch
from lib.models.frame_set import FrameSetBatch
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import EXACT, Mode

_ONE_STREAM = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.TYPE=vit_tiny_patch16_224", "MODEL.BACKBONE.EMBED_DIM=24",
    "MODEL.BACKBONE.NUM_HEADS=2", "MODEL.BACKBONE.DEPTH=4", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.TEMPLATE.SIZE=32", "TEST.TEMPLATE_SIZE=32", "DATA.SEARCH.SIZE=64", "TEST.SEARCH_SIZE=64",
]  # fmt: skip
_RGBT = [*_ONE_STREAM, "MODEL.BACKBONE.TBSI_LOC=[1,2]", "MODEL.BACKBONE.TBSI_MLP_RATIO=2.0"]
_LAST = [*_ONE_STREAM, "MODEL.BACKBONE.TBSI_LOC=[1,3]"]
_CORNER = ["MODEL.HEAD.TYPE=CORNER"]
_SIZES = ["DATA.TEMPLATE.SIZE=48", "TEST.TEMPLATE_SIZE=48", "DATA.SEARCH.SIZE=80", "TEST.SEARCH_SIZE=80"]
_PATCH_14 = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.TYPE=vit_small_patch14_dinov2", "MODEL.BACKBONE.STRIDE=14",
    "MODEL.BACKBONE.DEPTH=3", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.TEMPLATE.SIZE=42", "TEST.TEMPLATE_SIZE=42", "DATA.SEARCH.SIZE=56", "TEST.SEARCH_SIZE=56",
]  # fmt: skip
_EARLY = "MODEL.BACKBONE.CE_LOC=[1,2]"
_ENDING = "MODEL.BACKBONE.CE_LOC=[0,3]"
_KEEP = "MODEL.BACKBONE.CE_KEEP_RATIO=[0.7,0.5]"

_NARROW = ["MODEL.BACKBONE.WIDTH=0.0625", "DATA.SEARCH.SIZE=159", "TEST.SEARCH_SIZE=159"]

_SMALL = [
    "MODEL.BACKBONE.WIDTH=0.125", "MODEL.HEAD.NUM_CHANNELS=16", "DATA.TEMPLATE.SIZE=64", "TEST.TEMPLATE_SIZE=64",
    "DATA.SEARCH.SIZE=128", "TEST.SEARCH_SIZE=128",
]  # fmt: skip

_TWO_CAMERAS = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.WIDTH=0.0625", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.SEARCH.SIZE=159", "TEST.SEARCH_SIZE=159",
]  # fmt: skip

_PYSOT = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.WIDTH=0.0625", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.SEARCH.SIZE=159", "TEST.SEARCH_SIZE=159",
]  # fmt: skip

_SCENES = [
    "MODEL.WIDTH=0.0625", "TEST.CANDIDATES=32", "TEST.FIRST.POSITIVE=20", "TEST.FIRST.NEGATIVE=60",
    "TEST.FIRST.REGRESSION=20", "TEST.FIRST.EXTRA_SCENES=1", "TEST.FIRST.ITERATIONS=4", "TEST.UPDATE.POSITIVE=6",
    "TEST.UPDATE.NEGATIVE=12", "TEST.UPDATE.ITERATIONS=2", "TEST.UPDATE.INTERVAL=2", "TEST.UPDATE.SHORT=2",
    "TEST.UPDATE.LONG=3", "TEST.BATCH.CANDIDATES=24", "TEST.BATCH.NEGATIVE=8",
]  # fmt: skip

_FILTERS = [
    "MODEL.WIDTH=0.125", "TEST.CHANNELS=[4, 6]", "TEST.SMALLEST_SIZE=64", "TEST.LARGEST_SIZE=100", "TEST.SCALES=3",
    "TEST.FIRST.ROTATIONS=[20.0]", "TEST.FIRST.BLURS=[[2.0, 2.0]]", "TEST.FIRST.STEPS=3", "TEST.FIRST.ITERATIONS=5",
    "TEST.LEARN.MEMORY=12", "TEST.LEARN.INTERVAL=2", "TEST.LEARN.ITERATIONS=2",
]  # fmt: skip

#: Learns while it tracks; in the registry of the tests alone.
TOY = "toy_learner"
TRACKERS[TOY] = "toy_learner:ToyLearner"

SIAMESE = ("siamrpn", "dasiamrpn")
#: Trackers that learn a filter of each target online.
LEARNERS = ("dimp", "prdimp", "atom", TOY)

_SEARCHED = [
    "MODEL.BACKBONE.WIDTH=0.0625", "MODEL.IOU_NET.CHANNELS=8", "DATA.SEARCH.SIZE=64", "TEST.FIRST.DROPOUTS=2",
    "TEST.SEARCH_SIZE=64", "TEST.MEMORY.SIZE=10", "TEST.FIRST.STEPS=2", "TEST.FIRST.ROTATIONS=[10.0]",
    "TEST.FIRST.BLURS=[[2.0,1.0]]", "TEST.FIRST.SHIFTS=[[0.6,-0.3]]", "TEST.BOX.RANDOM=3", "TEST.BOX.STEPS=2",
]  # fmt: skip
_FEW_CELLS = [*_SEARCHED, "MODEL.CLASSIFIER.CHANNELS=8"]

_REFINE = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.WIDTH=0.125", "MODEL.HEAD.NUM_CHANNELS=16",
    "MODEL.NECK.NUM_CHANNELS=16", "MODEL.NECK.HIDDEN_CHANNELS=8", *(f"{key}=128" for key in (
        "DATA.TEMPLATE.SIZE", "DATA.SEARCH.SIZE", "TEST.TEMPLATE_SIZE", "TEST.SEARCH_SIZE")),
]  # fmt: skip

_OSTRACK = ("ostrack", "vitb_256_mae_32x4_ep300")
_TBSI = ("tbsi_track", "tbsi_vitb_256_32x4_4e4_lasher_15ep_in1k")
_IIMF = ("tbsi_track", "vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k")

#: name, which begins with the tracker's -> (experiments folder, configuration, changes)
VARIANTS: dict[str, tuple[str, str, list[str]]] = {
    "ostrack": (*_OSTRACK, _ONE_STREAM),
    "ostrack-corner": (*_OSTRACK, _ONE_STREAM + _CORNER),
    "ostrack-sizes": (*_OSTRACK, _ONE_STREAM + _SIZES),
    "ostrack-patch14": (*_OSTRACK, _PATCH_14),
    **{
        f"ostrack-ce-{kind}": (*_OSTRACK, [*_ONE_STREAM, _EARLY, _KEEP, f"MODEL.BACKBONE.CE_TEMPLATE_RANGE={kind}"])
        for kind in ("ALL", "CTR_POINT", "CTR_REC", "GT_BOX")
    },
    "ostrack-ce-last-block": (*_OSTRACK, [*_ONE_STREAM, _ENDING, _KEEP]),
    "tbsi_track": (*_TBSI, _RGBT),
    "tbsi_track-last-block": (*_TBSI, _LAST),
    "tbsi_track-corner": (*_TBSI, _RGBT + _CORNER),
    "tbsi_track-sizes": (*_TBSI, _RGBT + _SIZES),
    "tbsi_track-patch14": (*_TBSI, [*_PATCH_14, "MODEL.BACKBONE.TBSI_LOC=[1]"]),
    "iimf_track": (*_IIMF, _RGBT),
    "iimf_track-last-block": (*_IIMF, _LAST),
    "iimf_track-corner": (*_IIMF, _RGBT + _CORNER),
    "iimf_track-sizes": (*_IIMF, _RGBT + _SIZES),
    "siamrpn": ("dasiamrpn", "siamrpn_vot", _NARROW),
    "dasiamrpn": ("dasiamrpn", "dasiamrpn_vot", _NARROW),
    "dasiamrpn-kernel": ("dasiamrpn", "dasiamrpn_vot", [*_NARROW, "TEST.DISTRACTOR.USE=kernel"]),
    "dasiamrpn-long": ("dasiamrpn", "dasiamrpn_vot_lt", _NARROW),
    "fear": ("fear", "xs", _SMALL),
    "iimf_lite": ("iimf_lite", "xs", [*_SMALL, "MODEL.FUSION.NUM_CHANNELS=8"]),
    "iimf_lite-max": ("iimf_lite", "max", [*_SMALL, "MODEL.FUSION.NUM_CHANNELS=8"]),
    "siamdma": ("siamdma", "siamdma", _TWO_CAMERAS),
    "siamdma-update": ("siamdma", "release", [*_TWO_CAMERAS, "DATA.INPUT=imagenet", "TEST.TEMPLATE_UPDATE.INTERVAL=1"]),
    "siamdma-aux": ("siamdma", "cdsa_aux", _TWO_CAMERAS),
    "siamdma-cdsa": ("siamdma", "cdsa", _TWO_CAMERAS),
    "siamdma-baseline": ("siamdma", "baseline", [*_TWO_CAMERAS, "MODEL.LEVELS=[3]"]),
    "alpha_refine": ("alpha_refine", "secm_r34", _REFINE),
    "alpha_refine-corners": ("alpha_refine", "sec_r34", _REFINE),
    "alpha_refine-mask": ("alpha_refine", "sem_r34", _REFINE),
    "alpha_refine-cells": ("alpha_refine", "serpnm_r34", _REFINE),
    "alpha_refine-offsets": ("alpha_refine", "seex_r34", _REFINE),
    "alpha_refine-gate": ("alpha_refine", "secm_r34_att", [*_REFINE, "TEST.MASK=true"]),
    "alpha_refine-naive": ("alpha_refine", "secm_r34_naive", _REFINE),
    "alpha_refine-2020": ("alpha_refine", "secm_r18_2020", [*_REFINE, "TEST.BOX=mask"]),
    "alpha_refine-added": ("alpha_refine", "secm_r34_2020", [*_REFINE, "MODEL.NECK.SPATIAL=convolutions"]),
    "siamrpnpp": ("siamrpnpp", "siamrpn_r50_l234_dwxcorr", _PYSOT),
    "siamrpnpp-alex": ("siamrpnpp", "siamrpn_alex_dwxcorr", _PYSOT),
    "siamrpnpp-mobile": ("siamrpnpp", "siamrpn_mobilev2_l234_dwxcorr", [*_PYSOT, "MODEL.LEVELS=[3,4]"]),
    "siamrpnpp-long": ("siamrpnpp", "siamrpn_r50_l234_dwxcorr_lt", _PYSOT),
    "siammask": ("siammask", "siammask_r50_l3", [*_PYSOT, "TRAIN.LEARN=all", "TEST.MASK=true"]),
    "siammask-coarse": ("siammask", "siammask_r50_l3_base", [*_PYSOT, "TEST.BOX=mask"]),
    "siammask-refinement": ("siammask", "siammask_r50_l3", [*_PYSOT, "TRAIN.LEARN=refinement"]),
    TOY: (TOY, "", []),
    "dimp": ("dimp", "dimp18", _FEW_CELLS),
    "prdimp": ("dimp", "prdimp50", [*_FEW_CELLS, "MODEL.BACKBONE.DEPTH=18", "MODEL.CLASSIFIER.REGULARIZATION=0.5"]),
    "atom": ("atom", "atom", [*_SEARCHED, "TEST.FIRST.ITERATIONS=2", "TEST.CLASSIFIER.CHANNELS=8"]),
    "rt_mdnet": ("rt_mdnet", "rt_mdnet", _SCENES),
    "rt_mdnet-adaptive": ("rt_mdnet", "adaptive", _SCENES),
    "eco": ("eco", "eco", _FILTERS),
    "iimf_track-patch14": (*_IIMF, [*_PATCH_14, "MODEL.BACKBONE.TBSI_LOC=[1]"]),
}


#: Noise in the weights, where the usual 0.1 drives a network's scores to their limits: those of 30 layers.
_NOISE = {"siamdma": 0.04, "alpha_refine": 0.05, "siamrpnpp": 0.04, "siammask": 0.04}


def _learns_offline(name: str) -> bool:
    folder, config_name, changes = VARIANTS[name]
    return folder == TOY or network_class(load_config(folder, config_name, changes)).learns_offline


#: Those that are trained, and can be asked about a template and a search region.
TRAINED = [name for name in VARIANTS if _learns_offline(name)]

#: Those of the one-stream family, which have tests of their own.
ONE_STREAM = [name for name in TRAINED if name.split("-")[0] in ("ostrack", "tbsi_track", "iimf_track")]


def config(variant: str, *changes: str) -> EasyDict:
    """The resolved configuration of a variant, with further changes."""
    folder, name, own = VARIANTS[variant]
    if folder == TOY:
        return toy_config(changes)
    return load_config(folder, name, [*own, *changes])


def toy_config(changes: Sequence[str]) -> EasyDict:
    """The configuration of the toy learner, which has no experiments folder."""
    values = flatten(toy_learner.CONFIG)
    for key, _, text in (change.partition("=") for change in changes):
        values[key] = yaml.safe_load(text)
    return nest(values)


def model(variant: str, *changes: str, seed: int = 0) -> Network:
    """A network whose every parameter and running mean is random, so that no two parts can be mistaken."""
    torch.manual_seed(seed)
    network = build_model(config(variant, *changes))
    share = _NOISE.get(variant.split("-")[0], 0.1)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.dtype.is_floating_point and value.ndim:  # the others are constants
                noise = torch.randn_like(value)
                value.add_(noise.abs() if key.endswith("running_var") else noise, alpha=share)
    return network.eval()


def tracker(variant: str, *changes: str, mode: Mode = EXACT, seed: int = 0) -> CropTracker:
    """The tracker of such a network, on the CPU."""
    return CropTracker(build_method(model(variant, *changes, seed=seed), config(variant, *changes)), "cpu", mode)


def batch(variant: str, size: int = 2, *, seed: int = 0) -> PairBatch:
    """Normalised noise with boxes well inside their crops."""
    cfg, generator = config(variant), torch.Generator().manual_seed(seed)
    modalities = network_class(cfg).modalities

    def image(side: int) -> torch.Tensor:
        return torch.randn(size, modalities, 3, side, side, generator=generator)

    box = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.1, 0.3, 0.6, 0.4], [0.4, 0.2, 0.3, 0.7]])[torch.arange(size) % 3]
    template = cfg.DATA.get("TEMPLATE", cfg.DATA.SEARCH).SIZE
    pairs = PairBatch(image(template), box, image(cfg.DATA.SEARCH.SIZE), box.flip(0))
    return pairs._replace(mask=_fill(pairs.search_box, cfg.DATA.SEARCH.SIZE)) if "MASK" in cfg.MODEL else pairs


def _fill(boxes: torch.Tensor, side: int) -> torch.Tensor:
    """Masks that fill their boxes: [B, 4] xywh in units of the side -> [B, side, side] uint8"""
    places = (torch.arange(side) + 0.5) / side
    x, y, w, h = boxes[:, :, None].unbind(1)
    columns, rows = ((places > start) & (places < start + extent) for start, extent in ((x, w), (y, h)))
    return (rows[:, :, None] & columns[:, None]).to(torch.uint8) * 255


def train_batch(variant: str, size: int = 2, *, seed: int = 0) -> PairBatch | FrameSetBatch:
    """What the network's `step` takes: the same as a set of one frame to learn from and one to find the target in,
    where it learns from sets."""
    pairs = batch(variant, size, seed=seed)
    if network_class(config(variant)).samples != "frame_sets":
        return pairs
    side = pairs.search.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    truth = pairs.search_box[:, None] * side
    noise = 0.05 * torch.randn(size, 1, 4, 4, generator=generator)
    proposals = truth[:, :, None] * (1 + noise)
    wanted = torch.exp(-noise.square().sum(-1) / 0.02)
    sampling = 0.1 + wanted if config(variant).DATA.PROPOSALS.TYPE == "density" else None
    train_boxes = pairs.template_box[:, None] * side
    return FrameSetBatch(pairs.template, train_boxes, pairs.search, truth, proposals, wanted, sampling)
