"""From a single-object tracker that was trained here to an RGB-T tracker: both stages, narrow, as commands do them."""

import logging

import pytest
import torch
from runs import NARROW, train

from lib.core.checkpoint import load_checkpoint
from lib.core.config import load_config
from lib.models import build_model
from lib.models.pretrained import load_pretrained

SHORT = [*NARROW, "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]"]
FIRST = ("ostrack", "vitb_256_mae_32x4_ep300")
STEPS = 3


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    """The checkpoint that training OSTrack leaves behind, for each way to keep its weights."""
    made = {}

    def make(*changes):
        if changes not in made:
            changed = [*SHORT, "MODEL.PRETRAIN_FILE=''", "DATA.TRAIN.DATASETS_NAME=[synthetic_rgb_train]", *changes]
            kept = train(load_config(*FIRST, changed), FIRST, tmp_path_factory.mktemp("first"))
            made[changes] = kept / "OSTrack_ep0001.pth.tar"
        return made[changes]

    return make


def second_stage(*changes):
    where = ["MODEL.BACKBONE.TBSI_LOC=[1,2]", "TRAIN.TBSI_DROP_PATH=[]", "DATA.TRAIN.DATASETS_NAME=[synthetic_train]"]
    return [*SHORT, *where, *changes]


SECOND = [("iimf_track", "vitb_256_lasher_ostrack"), ("tbsi_track", "tbsi_vitb_256_lasher_ostrack")]


@pytest.mark.parametrize("recipe", SECOND, ids="/".join)
@pytest.mark.parametrize("kept", [(), ("TRAIN.EMA_DECAY=0.5",), ("TRAIN.LORA_RANK=2",)], ids=["plain", "EMA", "LoRA"])
def test_all_of_the_first_stage_arrives_and_nothing_else_is_loaded(first_stage, recipe, kept, caplog):
    checkpoint = first_stage(*kept)
    cfg = load_config(*recipe, second_stage(f"MODEL.PRETRAIN_FILE={checkpoint.name}"))
    model = build_model(cfg)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with caplog.at_level(logging.INFO):
        load_pretrained(model, cfg, str(checkpoint.parent))
    first, after = load_checkpoint(checkpoint)["net"], model.state_dict()
    assert {key for key in after if key in first} == set(first), "every tensor of OSTrack has its place"
    assert all(torch.equal(after[key], first[key]) for key in first)
    rest = set(after) - set(first)
    assert rest and all("tbsi" in key or "sp_sh_layer" in key for key in rest)
    assert all(torch.equal(after[key], before[key]) for key in rest)
    assert any(not torch.equal(after[key], before[key]) for key in first if ".blocks.0." in key)
    assert f"{len(first)} of the model's {len(after)} tensors loaded" in caplog.text and "not used" not in caplog.text


@pytest.mark.parametrize("recipe", SECOND, ids="/".join)
def test_the_second_stage_trains_from_the_first(first_stage, recipe, tmp_path, caplog):
    checkpoint = first_stage()
    with caplog.at_level(logging.INFO):
        cfg = load_config(*recipe, second_stage(f"MODEL.PRETRAIN_FILE={checkpoint}"))
        kept = train(cfg, recipe, tmp_path)
    assert f"{checkpoint}: " in caplog.text and "finished: 1 epoch, " in caplog.text
    (left,) = kept.glob("*_ep0001.pth.tar")
    first, second = load_checkpoint(checkpoint)["net"], load_checkpoint(left)["net"]
    learned = [key for key in first if first[key].is_floating_point() and "running" not in key]
    moved = torch.stack([(second[key] - first[key]).abs().max() for key in learned])
    rate = 0.1 * 1e-4  # BACKBONE_MULTIPLIER times LR; AdamW moves a value by hardly more than that in a step
    assert 0 < moved.max() < 2 * STEPS * rate
    other = build_model(load_config(*recipe, second_stage("MODEL.PRETRAIN_FILE=''"))).state_dict()
    assert (second["backbone.blocks.0.attn.qkv.weight"] - other["backbone.blocks.0.attn.qkv.weight"]).abs().max() > 0.01
