"""Checkpoints: whole or not at all, data and never code, and another network's are recognised."""

import errno
import logging
import os
import pickle
import resource
import sys
import types
from itertools import permutations

import micro
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from lib.core import checkpoint
from lib.core.atomic import write_atomically
from lib.core.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    load_state,
    load_weights,
    save_checkpoint,
    save_weights,
)
from lib.core.errors import InputError
from lib.layers.vit import create_vit
from lib.models.pretrained import from_npz, load_pretrained, read_public

WEIGHTS = {"a.weight": torch.arange(12.0).view(3, 4), "a.bias": torch.ones(3, dtype=torch.float16)}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def message_of(function, *arguments):
    with pytest.raises(InputError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_weights_are_as_readable_as_any_file_of_the_user(tmp_path):
    before = os.umask(0o022)
    try:
        save_weights(tmp_path / "x.safetensors", WEIGHTS, {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), OSError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error, raised):
    path = tmp_path / "x_ep0001.pth.tar"
    save_checkpoint(path, {"net": WEIGHTS})

    def half(content, target):
        target.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(raised):
        save_checkpoint(path, {"net": {}})
    assert same(load_weights(path), WEIGHTS)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("save", [save_checkpoint, lambda path, content: save_weights(path, content["net"], {})])
def test_disk_that_is_really_full_is_one_clear_line(tmp_path, save):
    path = tmp_path / "big"
    save_checkpoint(path, {"net": WEIGHTS})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))  # the kernel refuses what lies beyond
    try:
        message = message_of(save, path, {"net": {"a": torch.zeros(100_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert message.startswith(f"{path}: cannot be written") and "make room" in message
    assert same(load_weights(path), WEIGHTS)
    assert os.listdir(tmp_path) == [path.name]


def test_write_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("old", "new"):
        with write_atomically(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("layout", [lambda w: {"net": w, "epoch": 3}, lambda w: {"model": w}, lambda w: w])
@pytest.mark.parametrize("new_format", [True, False])
def test_torch_files_of_every_layout(tmp_path, layout, new_format):
    torch.save(layout(WEIGHTS), tmp_path / "x.pth", _use_new_zipfile_serialization=new_format)
    assert same(load_weights(tmp_path / "x.pth"), WEIGHTS)


def test_safetensors_and_npz(tmp_path):
    save_weights(tmp_path / "x.safetensors", {**WEIGHTS, "t": WEIGHTS["a.weight"].T}, {"network": "ostrack"})
    assert same(load_weights(tmp_path / "x.safetensors"), {**WEIGHTS, "t": WEIGHTS["a.weight"].T})
    np.savez(tmp_path / "x.npz", **{key: value.numpy() for key, value in WEIGHTS.items()})
    assert same(load_weights(tmp_path / "x.npz"), WEIGHTS)


def write_all_kinds(folder):
    torch.save({"net": WEIGHTS}, folder / "zip.pth")
    torch.save({"net": WEIGHTS}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(WEIGHTS, folder / "x.safetensors")
    np.savez(folder / "x.npz", **{key: value.numpy() for key, value in WEIGHTS.items()})
    return sorted(folder.iterdir())


def test_truncated_and_damaged_files_are_one_clear_line(tmp_path):
    rng = np.random.default_rng(0)
    for path in write_all_kinds(tmp_path):
        whole = path.read_bytes()
        for length in range(0, len(whole) - 1, len(whole) // 15):
            path.write_bytes(whole[:length])
            message = message_of(load_weights, path)
            assert message.startswith(f"{path}: is not a whole checkpoint") and message.endswith("; copy it again")
        for _ in range(40):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
            try:
                load_weights(path)  # damage in a number goes unnoticed in formats without check sums
            except InputError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["x.pth", "x.npz", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html></html>", b"PK\x03\x04 but no more"])
def test_what_is_no_checkpoint_is_one_clear_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "is not a whole checkpoint" in message_of(load_weights, tmp_path / name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [([1, 2], "holds list, expected a dict"), ({"epoch": 3}, "holds no weights"), ({"net": {}}, "holds no weights")],
)
def test_file_without_weights_is_one_clear_line(tmp_path, content, expected):
    torch.save(content, tmp_path / "x.pth")
    assert expected in message_of(load_weights, tmp_path / "x.pth")


def test_missing_file_and_unnamed_array(tmp_path):
    assert "no such checkpoint" in message_of(load_weights, tmp_path / "x.pth")
    with open(tmp_path / "x.npz", "wb") as file:
        np.save(file, np.ones(3))
    assert "is not a whole checkpoint" in message_of(load_weights, tmp_path / "x.npz")


@pytest.fixture
def foreign_module():
    """A module that only exists while a file is written, like the public trainer's own."""
    module = types.ModuleType("their_trainer")
    source = (
        "import collections\n"
        "class Settings:\n    def __init__(self): self.lr = 1\n"
        "class Meters(dict): pass\n"
        "class Names(list): pass\n"
        "class Slots:\n    __slots__ = ('a',)\n"
        "Pair = collections.namedtuple('Pair', 'a b', module='their_trainer')\n"
    )
    exec(source, module.__dict__)
    sys.modules["their_trainer"] = module
    yield module
    sys.modules.pop("their_trainer", None)


@pytest.mark.parametrize("new_format", [True, False])
def test_objects_of_foreign_classes_do_not_hinder(tmp_path, foreign_module, new_format):
    slots = foreign_module.Slots()
    slots.a = 1
    content = {
        "settings": foreign_module.Settings(), "stats": foreign_module.Meters(loss=np.float64(3)), "slots": slots,
        "names": foreign_module.Names(["a", "b"]), "pair": foreign_module.Pair(1, 2), "array": np.arange(3),
        "class": foreign_module.Settings, "net": WEIGHTS, "epoch": 7,
    }  # fmt: skip
    torch.save(content, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=new_format)
    del sys.modules["their_trainer"]
    assert same(load_weights(tmp_path / "x.pth.tar"), WEIGHTS)
    read = load_checkpoint(tmp_path / "x.pth.tar")
    assert read["epoch"] == 7 and read["array"].tolist() == [0, 1, 2]
    assert read["settings"].state == {"lr": 1}
    assert "their_trainer" not in sys.modules


class Touch:
    """A pickle that would make a file."""

    def __init__(self, path, call):
        self.path, self.call = path, call

    def __reduce__(self):
        calls = {
            "system": (os.system, (f"touch {self.path}",)),
            "eval": (eval, (f"open({str(self.path)!r}, 'w')",)),
            "open": (open, (str(self.path), "w")),
            "import": (__import__, ("antigravity",)),
        }
        return calls[self.call]


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("call", ["system", "eval", "open", "import"])
def test_code_in_a_file_does_not_run(tmp_path, call, new_format):
    trace = tmp_path / "ran"
    content = {"net": WEIGHTS, "settings": Touch(trace, call)}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new_format)
    assert same(load_weights(tmp_path / "x.pth"), WEIGHTS)
    assert not trace.exists() and "antigravity" not in sys.modules
    if call == "open":
        torch.load(tmp_path / "x.pth", weights_only=False)
        assert trace.exists(), "this test would notice"


def test_plain_pickle_does_not_run_either(tmp_path):
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Touch(tmp_path / "ran", "open")))
    assert "x.pth" in message_of(load_weights, tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


TRACKERS = ("ostrack", "tbsi_track", "iimf_track")


@pytest.mark.parametrize(("held", "wanted"), list(permutations(TRACKERS, 2)))
def test_checkpoint_of_another_network_says_which(held, wanted):
    message = message_of(load_state, micro.model(wanted), micro.model(held).state_dict(), "x.pth")
    assert message.startswith(f"x.pth: holds {held}, the configuration asks for {wanted}; set MODEL.NAME")


@pytest.mark.parametrize("wanted", TRACKERS)
def test_classifier_is_no_tracker(wanted):
    vit = timm.create_model("vit_tiny_patch16_224", depth=1)
    assert "x.pth: holds a plain ViT" in message_of(load_state, micro.model(wanted), vit.state_dict(), "x.pth")


def test_other_shape_missing_and_unexpected_keys_are_named():
    model = micro.model("iimf_track")
    state = model.state_dict()
    key = "backbone.blocks.2.mlp.fc1.weight"
    message = message_of(load_state, model, {**state, key: torch.zeros(3, 3)}, "x.pth")
    assert f"x.pth: {key}: is [3, 3], this configuration needs [96, 24]" in message
    fewer = {name: value for name, value in state.items() if not name.startswith(key)}
    assert f"lacks {key}; use the configuration" in message_of(load_state, model, fewer, "x.pth")
    more = {**state, "odd": state[key], "odder": state[key]}
    assert "has the unexpected odd and 1 more" in message_of(load_state, model, more, "x.pth")
    assert same(model.state_dict(), state), "a refused file changes nothing"


def test_what_never_reaches_an_output_is_dropped_by_name_and_nothing_else():
    model = micro.model("iimf_track-last-block", seed=1)
    state = micro.model("iimf_track-last-block").state_dict()
    unused = [
        "backbone.cls_token", "backbone.pos_embed", "backbone.middle_modality_x", "backbone.middle_fuse_z.0.weight",
        "backbone.sp_sh_layer.t_fusion_1.0.weight", "backbone.tbsi_layers.0.ca_s2t_vi2sh.attn_reshape.proj_4.bias",
        "backbone.tbsi_layers.1.ca_t2t_f2f.norm1.weight",
    ]  # fmt: skip
    load_state(model, {**state, **dict.fromkeys(unused, torch.zeros(1))})
    assert same(model.state_dict(), state)
    other = "backbone.tbsi_layers.0.ca_t2t_f2f.extra"  # a layer before the last block, whose template is read
    assert other in message_of(load_state, model, {**state, other: torch.zeros(1)}, "x")


@pytest.fixture
def trainings(tmp_path):
    """Two epochs of one configuration, one of them twice."""
    folder = tmp_path / "checkpoints" / "train" / "tbsi_track" / "mine"
    folder.mkdir(parents=True)
    for name in ("IIMFTrack_ep0015", "IIMFTrack_ep0030", "TBSITrack_ep0030"):
        (folder / f"{name}.pth.tar").touch()
    return folder


def test_checkpoint_is_found_in_both_layouts(trainings, tmp_path):
    assert find_checkpoint(tmp_path, "tbsi_track", "mine", 15) == trainings / "IIMFTrack_ep0015.pth.tar"
    (tmp_path / "mine").mkdir()
    (tmp_path / "checkpoints").rename(tmp_path / "mine" / "checkpoints")
    assert find_checkpoint(tmp_path, "tbsi_track", "mine", 15).parent.parent.parent.parent.parent.name == "mine"


def test_checkpoint_that_is_not_there_says_what_is(trainings, tmp_path):
    message = message_of(find_checkpoint, tmp_path, "tbsi_track", "mine", 7)
    assert "no checkpoint of epoch 7" in message and str(trainings) in message
    assert "IIMFTrack_ep0015.pth.tar, IIMFTrack_ep0030.pth.tar" in message and "--runid" in message
    assert "train it with python tracking/train.py" in message_of(find_checkpoint, tmp_path, "tbsi_track", "other", 7)
    assert "2 checkpoints of epoch 30" in message_of(find_checkpoint, tmp_path, "tbsi_track", "mine", 30)


# Pretrained weights. The tracker's ViT has 4 blocks of width 24; files are made from a timm ViT of that shape.

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
    [("other.pth", "does not exist; download it there, set pretrained_dir"), ("vit.pth", "holds no block that fits")],
)
def test_useless_pretrained_file_is_one_clear_line(tmp_path, name, expected):
    wide = create_vit("vit_tiny_patch16_224", embed_dim=48, depth=1, num_heads=2)
    torch.save({"model": wide.state_dict()}, tmp_path / "vit.pth")
    message = message_of(pretrain, tmp_path / name)
    assert message.startswith("MODEL.PRETRAIN_FILE: ") and expected in message


def test_shipped_model_is_taken_where_nobody_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ROOT", tmp_path)
    shipped = tmp_path / "pretrained_models" / "iimf_tiny.safetensors"
    shipped.parent.mkdir()
    shipped.touch()
    assert find_checkpoint(tmp_path / "output", "iimf_track", "tiny", 12) == shipped
    (tmp_path / "output" / "checkpoints" / "train" / "iimf_track" / "tiny").mkdir(parents=True)
    assert "no checkpoint of epoch 12" in message_of(find_checkpoint, tmp_path / "output", "iimf_track", "tiny", 12)
