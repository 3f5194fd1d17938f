"""Checkpoint files: whole or not at all, data and never code."""

import errno
import os
import pickle
import sys
import types
from functools import partial

import numpy as np
import pytest
import torch
from compare import message_of, same
from full_disk import files_up_to
from safetensors.torch import save_file

from lib.core import checkpoint
from lib.core.atomic import write_atomically
from lib.core.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from lib.core.errors import InputError

WEIGHTS = {"a.weight": torch.arange(12.0).view(3, 4), "a.bias": torch.ones(3, dtype=torch.float16)}


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
    for target in (path, tmp_path / "new" / "big"):
        with files_up_to(50_000):
            message = message_of(save, target, {"net": {"a": torch.zeros(100_000)}})
        assert message.startswith(f"{target}: cannot be written") and "make room" in message
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
    assert read["epoch"] == 7 and read["array"].array().tolist() == [0, 1, 2]
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


def test_bundled_model_is_taken_where_training_has_not_come_so_far_and_a_line_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checkpoint, "ROOT", tmp_path)
    bundled = tmp_path / "pretrained_models" / "iimf_tiny.safetensors"
    bundled.parent.mkdir()
    bundled.touch()
    find = partial(find_checkpoint, tmp_path / "output", "iimf_track", "tiny")
    assert find(12) == bundled and not caplog.text
    folder = tmp_path / "output" / "checkpoints" / "train" / "iimf_track" / "tiny"
    folder.mkdir(parents=True)
    assert find(12) == bundled
    assert f"no checkpoint of epoch 12 in {folder}; the bundled model is used: {bundled}" in caplog.text
    (folder / "IIMFTrack_ep0003.pth.tar").touch()
    assert find(12) == bundled and "(there: IIMFTrack_ep0003.pth.tar; choose with --runid)" in caplog.text
    assert "no checkpoint of epoch 4" in message_of(partial(find, exact=True), 4), (
        "an epoch that somebody names is no other"
    )
    assert find(3, exact=True).parent == folder
