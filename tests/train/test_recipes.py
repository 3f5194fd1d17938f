"""Three epochs of every public recipe, narrow and short: it learns, it goes on exactly, its curves can be read."""

import shutil

import cv2
import numpy as np
import pytest
import test_training as basics
import torch
from runs import DEEP, curves, train

from lib.core.checkpoint import load_checkpoint, save_checkpoint
from lib.core.config import list_configs, load_config
from lib.models import network_class
from lib.train import run

OWN = ("tiny", "tiny_video", "small", "small_middle", "small_start")  # for synthetic sequences and video
RECIPES = [
    (script, name)
    for script in ("ostrack", "tbsi_track", "iimf_track")
    for name in list_configs(script)
    if name not in OWN
]
SHORT = [*DEEP, "TRAIN.EPOCH=3", "TRAIN.PRINT_INTERVAL=24", "TRAIN.VAL_EPOCH_INTERVAL=1",
         "DATA.TRAIN.SAMPLE_PER_EPOCH=192", "DATA.VAL.SAMPLE_PER_EPOCH=64"]  # fmt: skip
ENDS = [24, 48, 72]  # steps at the end of each epoch


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Every number depends on it, and two seconds per recipe."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def data(one_thread):
    """Bright squares that move, whatever data sets a recipe names."""
    videos = [basics.squares(12, seed=seed) for seed in range(24)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_training_set", "load_validation_set"):
            patch.setattr(run, name, lambda name, folders: videos)
        yield


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, data):
    """Narrow stand-ins under the names of the files that recipes start from: an encoder, or a whole tracker."""
    first, folder = ("ostrack", "vitb_256_mae_32x4_ep300"), tmp_path_factory.mktemp("pretrained")
    fast = ["MODEL.PRETRAIN_FILE=''", "TRAIN.LR=0.002", "TRAIN.BACKBONE_MULTIPLIER=0.5", "TRAIN.EPOCH=8",
            "DATA.TRAIN.SAMPLE_PER_EPOCH=384", "TRAIN.VAL_EPOCH_INTERVAL=8", "TRAIN.SAVE_EPOCH_INTERVAL=8"]  # fmt: skip
    kept = train(load_config(*first, [*SHORT, *fast]), first, folder / "run")
    tracker = load_checkpoint(kept / "OSTrack_ep0008.pth.tar")["net"]
    encoder = {key.removeprefix("backbone."): value for key, value in tracker.items() if key.startswith("backbone.")}
    for name in ("TBSITrack_SOT_Pretrained.pth.tar", "OSTrack_ep0300.pth.tar"):
        save_checkpoint(folder / name, {"net": tracker})
    for name in ("mae_pretrain_vit_base.pth", "deit_base_patch16_224-b5f2ef4d.pth"):
        save_checkpoint(folder / name, {"model": encoder})
    return folder


def shorten(recipe):
    """The recipe with another width, smaller images, fewer samples and epochs; elimination within those."""
    public = load_config(*recipe)
    changes = list(SHORT)
    if public.DATA.SEARCH.SIZE == 384:
        sizes = {"DATA.TEMPLATE.SIZE": 48, "TEST.TEMPLATE_SIZE": 48, "DATA.SEARCH.SIZE": 96, "TEST.SEARCH_SIZE": 96}
        changes += [f"{key}={value}" for key, value in sizes.items()]
    if public.MODEL.BACKBONE.CE_LOC:
        changes += ["TRAIN.CE_START_EPOCH=1", "TRAIN.CE_WARM_EPOCH=2"]
    return load_config(*recipe, changes)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids="/".join)
def test_three_epochs(recipe, pretrained, tmp_path):
    cfg = shorten(recipe)
    whole = train(cfg, recipe, tmp_path / "whole", pretrained=pretrained)
    read = curves(tmp_path / "whole", recipe)
    assert sorted({event.step for event in read.Scalars("val/loss")}) == ENDS
    losses, ious = ([event.value for event in read.Scalars(name)] for name in ("train/loss", "val/iou"))
    assert len(losses) == 3 and losses[0] > losses[1] > losses[2]
    assert len(ious) == 3 and ious[2] > ious[0] + 0.02
    assert [event.value for event in read.Scalars("train/lr_0")] == pytest.approx([cfg.TRAIN.LR] * 3)
    picture = cv2.imdecode(np.frombuffer(read.Images("val/pairs")[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    side, modalities = cfg.DATA.SEARCH.SIZE, network_class(cfg).modalities
    assert picture.shape == (4 * side, (2 * modalities + 1) * side, 3) and picture.std() > 10
    goes_on_exactly(cfg, recipe, whole, tmp_path, pretrained=pretrained)


def goes_on_exactly(cfg, recipe, whole, folder, *, pretrained):
    """From the checkpoint of the second epoch a new process comes to the same third."""
    part = folder / "part" / "checkpoints" / "train" / "/".join(recipe)
    part.mkdir(parents=True)
    (second,), (third,) = (list(whole.glob(f"*_ep{epoch:04d}.pth.tar")) for epoch in (2, 3))
    for path in (second, whole / "config.yaml"):
        shutil.copy(path, part)
    train(cfg, recipe, folder / "part", pretrained=pretrained)
    ends = [load_checkpoint(path) for path in (third, part / third.name)]
    assert basics.same(ends[0]["net"], ends[1]["net"])
    steps = [end["optimizer"]["state"] for end in ends]
    assert all(torch.equal(steps[0][key]["exp_avg_sq"], steps[1][key]["exp_avg_sq"]) for key in steps[0])
    for name in ("train/loss", "val/iou", "val/loss"):
        last = [curves(folder / run, recipe).Scalars(name)[-1] for run in ("whole", "part")]
        assert (last[0].step, last[0].value) == (last[1].step, last[1].value)
