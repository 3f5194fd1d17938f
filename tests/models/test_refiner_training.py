"""Training of Alpha-Refine beyond its losses: what its configurations load, the recipe, a narrow one by heart."""

from pathlib import Path

import pytest
import torch
from test_near_pairs import video

from lib.core.config import load_config
from lib.datasets import DATASETS, TRAINING
from lib.datasets.synthetic.stream import stream
from lib.layers.trunks.imagenet_resnet import ImageNetResNet
from lib.models import build_model
from lib.models.pretrained import load_pretrained
from lib.train.data.loader import build_loader
from lib.train.optim import build_optimizer
from lib.train.schedule import build_scheduler

CONFIGS = sorted(path.stem for path in Path("experiments/alpha_refine").glob("*.yaml") if path.stem != "defaults")
NARROW = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.DEPTH=18", "MODEL.BACKBONE.WIDTH=0.125", "MODEL.HEAD.NUM_CHANNELS=16",
    "DATA.SEARCH.SIZE=64", "DATA.TEMPLATE.SIZE=64", "TEST.SEARCH_SIZE=64", "TEST.TEMPLATE_SIZE=64",
    "TRAIN.NUM_WORKER=0", "DATA.TRAIN.DATASETS_NAME=[x]", "DATA.TRAIN.DATASETS_RATIO=[1]",
]  # fmt: skip


def config(*changes):
    return load_config("alpha_refine", "secm_r34", [*NARROW, *changes])


def load(cfg, data):
    loader = build_loader(cfg, [data], stage=0)
    loader.sampler.epoch = 1
    return next(iter(loader)).batch


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_trains_on_sets_that_there_are(name):
    cfg = load_config("alpha_refine", name)
    for part in (cfg.DATA.TRAIN, cfg.DATA.VAL):
        names = [one.partition("/")[0].lower() for one in part.DATASETS_NAME]  # videos/<folder>: a folder of one's own
        assert all(TRAINING.get(name, name) in DATASETS for name in names)
    with_masks = {"YOUTUBEVOS", "SALIENCY", "synthetic_rgb_train"} & set(cfg.DATA.TRAIN.DATASETS_NAME)
    assert bool(with_masks) == cfg.MODEL.MASK, "a mask head learns from masks"


def test_the_recipe_of_the_paper():
    """Adam at 0.001 for all parameters, halved after every eighth of 40 epochs of 500 steps of 256 pairs."""
    cfg = load_config("alpha_refine", "secm_r34")
    optimizer = build_optimizer(cfg, build_model(config()))
    assert type(optimizer) is torch.optim.Adam and optimizer.defaults["weight_decay"] == 0
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(build_model(config()).parameters()))
    scheduler, seen = build_scheduler(cfg, optimizer), []
    for _ in range(40):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert seen[::8] == [pytest.approx([1e-3 / 2**k] * len(seen[0])) for k in range(5)] and seen[7] == seen[0]
    shares = dict(zip(cfg.DATA.TRAIN.DATASETS_NAME, cfg.DATA.TRAIN.DATASETS_RATIO, strict=True))
    assert sum(shares.values()) == 10 and shares["SALIENCY"] == 3 and shares["YOUTUBEVOS"] == 2
    assert cfg.DATA.TRAIN.SAMPLE_PER_EPOCH / cfg.TRAIN.BATCH_SIZE / 8 == 500 and cfg.TRAIN.EPOCH == 40


def test_pairs_reach_both_heads():
    cfg = config("DATA.TRAIN.SAMPLE_PER_EPOCH=4", "TRAIN.BATCH_SIZE=4")
    torch.manual_seed(0)
    model = build_model(cfg)
    losses, figures = model.step(load(cfg, [video(8, masks=True)]).normalised(model.normalize))
    assert losses["corner"] > 0 and losses["mask"] > 100 and 0 <= figures["iou"] <= 1
    assert figures["mask_iou"].tolist()[1] == 4
    losses, figures = model.step(load(cfg, [video(20)]).normalised(model.normalize))
    assert losses["corner"] > 0 and losses["mask"] == 0 and figures["mask_iou"].tolist() == [0, 0]


def test_training_starts_from_the_classifiers_file_of_torchvision(tmp_path):
    source, path = ImageNetResNet(18, last=4, width=0.125), tmp_path / "resnet.pth"
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1000, 64), "fc.bias": torch.zeros(1000)}, path)
    cfg = config(f"MODEL.PRETRAIN_FILE={path}")
    model = build_model(cfg)
    load_pretrained(model, cfg, "")
    known = source.state_dict()
    assert all(torch.equal(value, known[key]) for key, value in model.backbone.state_dict().items())


@pytest.mark.slow
def test_a_narrow_refiner_learns_pairs_by_heart():
    """Four synthetic pairs, 160 steps: corners and masks fit. Crops of 64 pixels could not show all corners."""
    sizes = [change.replace("=64", "=128") for change in NARROW if "SIZE" in change]
    cfg = config(*sizes, "DATA.TRAIN.SAMPLE_PER_EPOCH=4", "TRAIN.BATCH_SIZE=4", "DATA.LEAST_VISIBLE=0.9",
                 "TRAIN.LR=0.003", "TRAIN.MASK_WEIGHT=250.0")  # fmt: skip
    torch.manual_seed(0)
    model = build_model(cfg).train()
    batch = load(cfg, stream(Path(""), 8, held_out=False, frames=24, modalities=("visible",))).normalised(
        model.normalize
    )
    optimizer, course = build_optimizer(cfg, model), []
    for _ in range(160):
        losses, figures = model.step(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        mask = figures["mask_iou"]
        course.append((float(losses["corner"].detach()), float(figures["iou"]), float(mask[0] / mask[1])))
    (first, before, _), (last, iou, masks) = course[0], course[-1]
    assert last < 0.05 * first and iou > 0.8 > before and masks > 0.85
