"""Checkpoints as people have them: wrapped, nested, renamed, and what is often taken for one."""

import zipfile

import numpy as np
import pytest
import torch
from compare import message_of, same

from lib.core.checkpoint import load_weights, save_weights

WEIGHTS = {"a.weight": torch.arange(12.0).view(3, 4), "a.bias": torch.ones(3, dtype=torch.float16)}


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.", "model.", "module.model."]
)
@pytest.mark.parametrize("keys", [["net"], ["model", "state_dict"], ["state_dict", "model", "net"]])
def test_prefixes_and_nested_state_dicts(tmp_path, prefix, keys):
    content = {f"{prefix}{key}": value for key, value in WEIGHTS.items()}
    for key in keys:
        content = {key: content, "epoch": 3}
    torch.save(content, tmp_path / "x.pth")
    assert same(load_weights(tmp_path / "x.pth"), WEIGHTS)


def test_prefixes_inside_and_on_some_weights(tmp_path):
    torch.save({"module.a._orig_mod.w": torch.ones(1), "module.b": torch.ones(2)}, tmp_path / "x.pth")
    assert load_weights(tmp_path / "x.pth").keys() == {"a.w", "b"}
    torch.save({"module.a": torch.ones(1), "b": torch.ones(2)}, tmp_path / "x.pth")
    assert load_weights(tmp_path / "x.pth").keys() == {"module.a", "b"}, "a part of that name"
    torch.save({"_orig_mod.a": torch.ones(1), "a": torch.zeros(1)}, tmp_path / "x.pth")
    assert "with and without '_orig_mod.'" in message_of(load_weights, tmp_path / "x.pth")


def test_the_content_decides_not_the_name(tmp_path):
    save_weights(tmp_path / "x.SAFETENSORS", WEIGHTS, {})
    np.savez(tmp_path / "x.npz", **{key: value.numpy() for key, value in WEIGHTS.items()})
    (tmp_path / "x.npz").rename(tmp_path / "x.pth")
    assert same(load_weights(tmp_path / "x.SAFETENSORS"), WEIGHTS) and same(load_weights(tmp_path / "x.pth"), WEIGHTS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "fetch it with git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "it is a web page: the download went wrong"),
        (b"\x1f\x8b\x08\0", "unpack it first"),
        (b"Rar!\x1a\x07\0", "it is a RAR archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "it is a file of HDF5"),
        (b"", "it is empty"),
    ],
)
def test_what_is_often_taken_for_a_checkpoint_is_named(tmp_path, content, expected):
    (tmp_path / "x.safetensors").write_bytes(content)
    assert expected in message_of(load_weights, tmp_path / "x.safetensors")


def test_a_zip_archive_with_a_checkpoint_in_it_is_named(tmp_path):
    torch.save(WEIGHTS, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "x.pth", "x.pth")
    assert "it is a zip archive of other files; unpack it first" in message_of(load_weights, tmp_path / "x.zip")


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: {"net": model}])
def test_a_whole_pickled_model_is_refused_in_words(tmp_path, wrap, new):
    torch.save(wrap(torch.nn.Linear(2, 2)), tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    message = message_of(load_weights, tmp_path / "x.pth")
    assert "a whole object of class torch.nn.modules.linear.Linear" in message and "state_dict()" in message


def test_torchscript_is_refused_in_words(tmp_path):
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "x.pt")
    assert "a whole object of class __torch__" in message_of(load_weights, tmp_path / "x.pt")
