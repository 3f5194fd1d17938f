"""LoRA and layer-wise rates: how a pretrained encoder is adapted gently."""

import micro
import pytest
import runs
import test_training as basics
import torch

from lib.core.checkpoint import load_checkpoint
from lib.layers.transformer.lora import add_lora, is_lora, merged_state
from lib.models import build_model
from lib.models.weights import load_state
from lib.train.optim import build_optimizer

make_trainer = basics.make_trainer
LORA = ["TRAIN.LORA_RANK=2", "TRAIN.LORA_ALPHA=8", "TRAIN.LR=0.01"]


def adapted(variant):
    """A network whose low-rank matrices have learned something."""
    model = micro.model(variant)
    add_lora(model.backbone, 2, 8.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_lora(name):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


@pytest.mark.parametrize("variant", ["iimf_track", "tbsi_track", "ostrack", "ostrack-ce-ALL"])
def test_merged_weights_give_the_same_outputs_under_public_names(variant):
    model, merged, untouched = adapted(variant), micro.model(variant, seed=5), micro.model(variant)
    assert merged_state(model).keys() == merged.state_dict().keys()
    load_state(merged, merged_state(model))
    batch = micro.batch(variant)
    with torch.no_grad():
        outputs = [network(network.embed(batch.template), batch.search) for network in (model, merged, untouched)]
    for unmerged, plain in zip(outputs[0], outputs[1], strict=True):
        torch.testing.assert_close(unmerged, plain, rtol=1e-4, atol=1e-6)
    assert (outputs[0].score_map - outputs[2].score_map).abs().max() > 1e-3


def test_product_is_alpha_over_rank_and_nothing_at_first():
    model, before = micro.model("iimf_track"), micro.model("iimf_track").state_dict()
    add_lora(model.backbone, 2, 8.0)
    assert basics.same(merged_state(model), before)
    layer = model.backbone.blocks[1].attn.proj
    thin = layer.parametrizations.weight[0]
    with torch.no_grad():
        thin.up.fill_(0.5)
    expected = before["backbone.blocks.1.attn.proj.weight"] + 8 / 2 * 0.5 * thin.down.sum(0)
    torch.testing.assert_close(merged_state(model)["backbone.blocks.1.attn.proj.weight"], expected)


def test_network_without_lora_is_saved_as_it_is():
    model = micro.model("iimf_track")
    assert basics.same(merged_state(model), model.state_dict())


def test_run_with_lora_saves_public_checkpoints_and_keeps_the_rest_frozen(make_trainer, tmp_path):
    trainer = make_trainer(*LORA)
    before = {key: value.clone() for key, value in merged_state(trainer.model).items()}
    trainer.run()
    for kind in ("ep0003", "best"):
        net = load_checkpoint(tmp_path / f"IIMFTrack_{kind}.pth.tar")["net"]
        load_state(build_model(trainer.cfg), net)
        changed = {key for key in net if not torch.equal(net[key], before[key])}
        inside = {key for key in changed if key.startswith("backbone.blocks.")}
        assert inside == {f"backbone.blocks.{n}.attn.{part}.weight" for n in range(4) for part in ("qkv", "proj")}
        assert {"backbone.pos_embed_x", "box_head.conv1_ctr.0.weight"} < changed
        assert not any(key.startswith(("backbone.norm.", "backbone.patch_embed.")) for key in changed)


@pytest.mark.parametrize("more", [[], ["TRAIN.EMA_DECAY=0.7"]])
def test_run_with_lora_goes_on_as_if_it_never_stopped(make_trainer, tmp_path, more):
    whole = make_trainer(*LORA, *more)
    whole.run()
    second = make_trainer(*LORA, *more)
    runs.resume(second, tmp_path / "IIMFTrack_ep0002.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))
    assert basics.same(whole.result.state_dict(), second.result.state_dict())


def rates(*changes):
    """Name -> rate, of every parameter that learns."""
    cfg = basics.config("TRAIN.LR=1.0", "TRAIN.BACKBONE_MULTIPLIER=0.5", *changes)
    model = build_model(cfg)
    if cfg.TRAIN.LORA_RANK:
        add_lora(model.backbone, cfg.TRAIN.LORA_RANK, 1.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(cfg, model).param_groups
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def test_layers_learn_the_slower_the_nearer_they_are_to_the_input():
    found = rates("TRAIN.LAYER_DECAY=0.5")
    expected = {
        "box_head.conv1_ctr.0.weight": 1, "tbsi_fuse_search.0.weight": 1,
        "backbone.norm.weight": 0.5, "backbone.tbsi_layers.0.ca_s2t_vi2sh.norm1.weight": 0.5,
        "backbone.blocks.3.attn.qkv.weight": 0.25, "backbone.blocks.0.norm1.bias": 0.5 / 16,
        "backbone.pos_embed_z": 0.5 / 32, "backbone.patch_embed.proj.weight": 0.5 / 32,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found.keys() == rates().keys() and set(rates().values()) == {1.0, 0.5}


def test_thin_matrices_learn_at_the_rate_of_what_is_new():
    found = rates("TRAIN.LORA_RANK=2", "TRAIN.LAYER_DECAY=0.5", "TRAIN.SOT_PRETRAIN=true")
    thin = {name: rate for name, rate in found.items() if is_lora(name)}
    assert len(thin) == 4 * 2 * 2 and set(thin.values()) == {1.0}
    assert not any(name.startswith("backbone.blocks.") for name in found if name not in thin)
