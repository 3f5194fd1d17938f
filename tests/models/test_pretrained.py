"""Public weights that training starts from: what of them fits is loaded, the rest is accounted for."""

import logging

import micro
import numpy as np
import pytest
import torch
from compare import message_of, same

from lib.core.checkpoint import load_weights
from lib.layers.transformer.vit import create_vit
from lib.models.one_stream.vit_weights import from_npz
from lib.models.pretrained import load_pretrained, read_public

TRACKERS = ("ostrack", "tbsi_track", "iimf_track")

# The tracker's ViT has 4 blocks of width 24; files are made from a timm ViT of that shape.

SHAPE = {"embed_dim": 24, "depth": 4, "num_heads": 2, "img_size": 64}


@pytest.fixture
def vit():
    torch.manual_seed(7)
    return create_vit("vit_tiny_patch16_224", **SHAPE).eval()


def pretrain(path, variant="ostrack", *changes):
    model = micro.model(variant, *changes)
    load_pretrained(model, micro.config(variant, f"MODEL.PRETRAIN_FILE={path.name}", *changes), str(path.parent))
    return model


def assert_has_vit(model, vit):
    """The tracker's encoder gives an image the features that the ViT gives it, class token aside."""
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = vit.patch_embed(image) + vit.pos_embed[:, 1:]
    torch.testing.assert_close(model.backbone.embed_search(image), tokens, rtol=0, atol=1e-6)
    for ours, theirs in zip(model.backbone.blocks, vit.blocks, strict=True):
        torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.backbone.norm(tokens), vit.norm(tokens), rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", TRACKERS)
@pytest.mark.parametrize("extra", [("head.weight", "head.bias"), ("mask_token", "decoder_blocks.0.norm1.weight")])
def test_deit_and_mae_files(tmp_path, vit, caplog, variant, extra):
    weights = {**vit.state_dict(), **dict.fromkeys(extra, torch.zeros(1))}
    torch.save({"model": weights}, tmp_path / "vit.pth")
    with caplog.at_level(logging.INFO):
        assert_has_vit(pretrain(tmp_path / "vit.pth", variant), vit)
    account = caplog.records[-1].getMessage()
    used = 4 * 12 + 2 + 2 + 2  # blocks, norm, patch embedding, position codes
    assert account.startswith(f"vit.pth: {used} of the model's ")
    assert "from scratch: " in account.splitlines()[1] and "box_head" in account.splitlines()[1]
    assert "backbone.blocks" not in account


def to_npz(vit, prefix=""):
    """The original release's arrays: the inverse of what the loader does."""
    state = {key: value.detach().numpy() for key, value in vit.state_dict().items()}
    arrays = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "cls": state["cls_token"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": np.zeros((24, 10), np.float32),
        "head/bias": np.zeros(10, np.float32),
    }
    width, heads = SHAPE["embed_dim"], SHAPE["num_heads"]
    for n in range(SHAPE["depth"]):
        block, ours = f"Transformer/encoderblock_{n}", f"blocks.{n}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        for index, part in enumerate(("query", "key", "value")):
            rows = slice(index * width, (index + 1) * width)
            arrays[f"{attention}/{part}/kernel"] = state[f"{ours}.attn.qkv.weight"][rows].T.reshape(width, heads, -1)
            arrays[f"{attention}/{part}/bias"] = state[f"{ours}.attn.qkv.bias"][rows].reshape(heads, -1)
        arrays[f"{attention}/out/kernel"] = state[f"{ours}.attn.proj.weight"].T.reshape(heads, -1, width)
        arrays[f"{attention}/out/bias"] = state[f"{ours}.attn.proj.bias"]
        for theirs, norm in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            arrays[f"{block}/{theirs}/scale"] = state[f"{ours}.{norm}.weight"]
            arrays[f"{block}/{theirs}/bias"] = state[f"{ours}.{norm}.bias"]
        for theirs, layer in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
            arrays[f"{block}/MlpBlock_3/{theirs}/kernel"] = state[f"{ours}.mlp.{layer}.weight"].T
            arrays[f"{block}/MlpBlock_3/{theirs}/bias"] = state[f"{ours}.mlp.{layer}.bias"]
    return {prefix + key: value for key, value in arrays.items()}


@pytest.mark.parametrize("prefix", ["", "opt/target/"])
def test_files_of_the_original_vit_release(tmp_path, vit, prefix):
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    np.savez(tmp_path / "vit.npz", **to_npz(vit, prefix))
    assert_has_vit(pretrain(tmp_path / "vit.npz"), vit)
    assert same(from_npz(load_weights(tmp_path / "vit.npz")), vit.state_dict())


def test_npz_of_something_else_is_one_clear_line(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    assert "it is not a file of the original ViT release" in message_of(read_public, tmp_path / "x.npz")


def test_patch_and_grid_of_another_size_are_resized(tmp_path):
    torch.manual_seed(0)
    vit = create_vit("vit_tiny_patch16_224", embed_dim=24, depth=4, num_heads=2, patch_size=14, img_size=224)
    with torch.no_grad():  # a plane: bicubic interpolation keeps it, away from the border
        ramp = torch.arange(16.0) / 16
        vit.pos_embed[0, 1:, 0] = (ramp[:, None] + 2 * ramp[None]).flatten()
        vit.patch_embed.proj.weight.fill_(0.5)
    torch.save(vit.state_dict(), tmp_path / "vit.pth")
    model = pretrain(tmp_path / "vit.pth", "iimf_track", "DATA.SEARCH.SIZE=128", "TEST.SEARCH_SIZE=128")
    assert model.backbone.patch_embed.proj.weight.shape == (24, 3, 16, 16)
    torch.testing.assert_close(model.backbone.patch_embed.proj.weight, torch.full((24, 3, 16, 16), 0.5))
    assert model.backbone.pos_embed_z.shape == (1, 4, 24) and model.backbone.pos_embed_x.shape == (1, 64, 24)
    codes = model.backbone.pos_embed_x[0, :, 0].view(8, 8)[2:-2, 2:-2]
    centres = (torch.arange(8.0) * 2 + 0.5)[2:-2] / 16  # of two cells each
    torch.testing.assert_close(codes, centres[:, None] + 2 * centres[None], atol=1e-3, rtol=0)
    torch.testing.assert_close(model.backbone.blocks[3].mlp.fc1.weight, vit.blocks[3].mlp.fc1.weight)


def test_single_object_pretraining_is_loaded_in_part_with_an_account(tmp_path, caplog):
    source = micro.model("tbsi_track", seed=3)
    weights = {**source.state_dict(), "backbone.cls_token": torch.zeros(1, 1, 24)}
    left_out = [key for key in weights if "tbsi_layers.1" in key]
    weights = {key: value for key, value in weights.items() if key not in left_out}
    torch.save({"net": weights, "epoch": 300}, tmp_path / "sot.pth.tar")
    with caplog.at_level(logging.INFO):
        model = pretrain(tmp_path / "sot.pth.tar", "tbsi_track")
    own = model.state_dict()
    loaded = [key for key in own if key not in left_out]
    assert all(torch.equal(own[key], weights[key]) for key in loaded)
    lines = caplog.records[-1].getMessage().splitlines()
    assert lines == [
        f"sot.pth.tar: {len(loaded)} of the model's {len(own)} tensors loaded",
        f"  from scratch: backbone.tbsi_layers ({len(left_out)})",
    ]


def test_tbsi_weights_start_iimf_as_far_as_they_fit(tmp_path, caplog):
    source = micro.model("tbsi_track", seed=3)
    torch.save({"net": source.state_dict()}, tmp_path / "sot.pth.tar")
    with caplog.at_level(logging.INFO):
        model = pretrain(tmp_path / "sot.pth.tar", "iimf_track")
    assert torch.equal(model.backbone.pos_embed_x, source.backbone.pos_embed_x)
    assert same(model.box_head.state_dict(), source.box_head.state_dict())
    _, scratch, unused = caplog.records[-1].getMessage().splitlines()
    assert "backbone.sp_sh_layer" in scratch and "tbsi_fuse_middle.0" in scratch
    assert "tbsi_layers" in unused and "tbsi_fuse_search" in unused


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("other.pth", "does not exist; download it there, set pretrained_dir"),
        ("vit.pth", "holds no layer that fits MODEL.BACKBONE.TYPE vit_tiny_patch16_224; give weights of that"),
    ],
)
def test_useless_pretrained_file_is_one_clear_line(tmp_path, name, expected):
    wide = create_vit("vit_tiny_patch16_224", embed_dim=48, depth=1, num_heads=2)
    torch.save({"model": wide.state_dict()}, tmp_path / "vit.pth")
    message = message_of(pretrain, tmp_path / name)
    assert message.startswith("MODEL.PRETRAIN_FILE: ") and expected in message


def test_network_without_a_vit_of_timm_says_so(tmp_path):
    cfg = micro.config("dasiamrpn", "MODEL.PRETRAIN_FILE=timm")
    assert "timm has no weights of this network" in message_of(load_pretrained, micro.model("dasiamrpn"), cfg, "")
