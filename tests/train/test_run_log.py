"""Curves and pictures of a run: on TensorBoard, and the same on Weights & Biases and visdom where it is asked for."""

import json
import logging
import sys

import pytest
import torch
from fake_visdom import FakeVisdom, fake_visdom, unused_port
from runs import NARROW, curves, train

from lib.cli import train as train_command
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.train.run_log import check_wandb

# What is relied on of the package wandb, keeping what it is told
STAND_IN = """
import json, pathlib
class Image:
    def __init__(self, pixels): self.shape = pixels.shape
class Run:
    def __init__(self, folder, id): self.folder, self.id, self.told = pathlib.Path(folder), id, []
    def define_metric(self, name, step_metric=None): self.told.append(["metric", name, step_metric])
    def log(self, values):
        self.told.append({k: list(v.shape) if isinstance(v, Image) else v for k, v in values.items()})
    def finish(self): self.told.append("finished"); self.save()
    def save(self): (self.folder / f"told{len(list(self.folder.glob('told*')))}.json").write_text(json.dumps(self.told))
def init(*, project, name, dir, config, id, resume):
    if project == "offline": raise RuntimeError("no API key\\nand a long explanation")
    made = Run(dir, id or "n1")
    made.told.append({"project": project, "name": name, "id": id, "resume": resume, "lr": config["TRAIN.LR"]})
    return made
"""
TINY = ("iimf_track", "tiny")
FEW = ["MODEL.PRETRAIN_FILE=''", "DATA.TRAIN.DATASETS_NAME=[synthetic_train]", "DATA.VAL.DATASETS_NAME=[synthetic_val]",
       "DATA.VAL.DATASETS_RATIO=[1]", "DATA.VAL.SAMPLE_PER_EPOCH=2", "TRAIN.VAL_EPOCH_INTERVAL=1",
       "MODEL.BACKBONE.TBSI_LOC=[2]"]  # fmt: skip


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "wandb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    yield
    sys.modules.pop("wandb", None)


def run_tiny(folder, *changes, **logs):
    return train(load_config(*TINY, [*NARROW, *FEW, *changes]), TINY, folder, **logs)


def test_both_are_told_the_same_and_a_run_goes_on_where_it_was(tmp_path, monkeypatch, stand_in, caplog):
    caplog.set_level(logging.INFO)
    kept = run_tiny(tmp_path, "TRAIN.EPOCH=1", wandb="towers")
    said, numbers = caplog.text, {"synthetic_train": 20000, "synthetic_val": 60}
    opening = ["device: cpu (1 thread", "network: IIMFTrack, 0.11 M parameters, 0.11 M of them learn",
               "an epoch: 3 steps of 2 pairs; 1 epoch",
               f"log: {tmp_path}/logs/iimf_track-tiny.log", f"curves: tensorboard --logdir {tmp_path}/tensorboard",
               *(f" data: {name} ({number} sequences)" for name, number in numbers.items())]  # fmt: skip
    assert [line for line in opening if line not in said] == []
    assert max(map(said.index, opening)) < said.index("train epoch 1/1") and "finished: 1 epoch, " in said
    assert (kept / "wandb.txt").read_text() == "n1\n"
    caplog.clear()
    run_tiny(tmp_path, "TRAIN.EPOCH=2", wandb="towers")
    assert "goes on after epoch 1: " in caplog.text and "all epochs are done" not in caplog.text
    run_tiny(tmp_path, "TRAIN.EPOCH=2", wandb="")
    assert "all epochs are done; for more raise TRAIN.EPOCH, to begin anew choose another --save_dir" in caplog.text
    first, second = (json.loads((kept / f"told{number}.json").read_text()) for number in (0, 1))
    whole = {"project": "towers", "name": "iimf_track-tiny", "resume": "allow", "lr": 0.0004}
    assert first[0] == {**whole, "id": None} and second[0] == {**whole, "id": "n1"}
    assert first[1:3] == [["metric", "step", None], ["metric", "*", "step"]] and first[-1] == second[-1] == "finished"
    steps = [told for told in first + second if isinstance(told, dict) and "step" in told]
    told = {(name, step["step"]): value for step in steps for name, value in step.items() if name != "step"}
    read = curves(tmp_path, TINY)
    scalars = {(tag, event.step): event.value for tag in read.Tags()["scalars"] for event in read.Scalars(tag)}
    images = {(tag, event.step) for tag in read.Tags()["images"] for event in read.Images(tag)}
    assert (
        {key for key, value in told.items() if isinstance(value, list)}
        == images
        == {("val/pairs", 3), ("val/pairs", 6)}
    )
    numbers = {key: value for key, value in told.items() if not isinstance(value, list)}
    assert numbers == {key: pytest.approx(value, rel=1e-6) for key, value in scalars.items()}
    assert {"train/loss", "val/iou", "train/lr_0", "train/data_wait", "train/pairs_per_s"} <= {
        name for name, _ in numbers
    }


def test_without_the_option_nothing_is_imported(tmp_path, monkeypatch, stand_in):
    kept = run_tiny(tmp_path, "TRAIN.EPOCH=1", wandb="")
    assert "wandb" not in sys.modules and not (kept / "wandb.txt").exists() and curves(tmp_path, TINY).Tags()["scalars"]


def test_a_run_that_does_not_begin_is_one_line(tmp_path, monkeypatch, stand_in):
    with pytest.raises(InputError, match="^--wandb offline: no API key$"):
        run_tiny(tmp_path, wandb="offline")


def test_a_missing_package_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_wandb("")
    with pytest.raises(InputError, match="--wandb towers: wandb is not installed; pip install wandb"):
        check_wandb("towers")
    started = []
    monkeypatch.setattr("lib.train.run.train", lambda *args, **more: started.append(args))
    monkeypatch.setattr("sys.argv", ["train.py", "--script", "iimf_track", "--config", "tiny", "--wandb", "towers"])
    with pytest.raises(InputError, match="wandb is not installed"):
        train_command.main()
    assert started == []


def test_visdom_shows_what_tensorboard_has(tmp_path):
    with fake_visdom() as fake:
        run_tiny(tmp_path, "TRAIN.EPOCH=2", visdom=fake.address)
    read = curves(tmp_path, TINY)
    scalars = {(tag, event.step): event.value for tag in read.Tags()["scalars"] for event in read.Scalars(tag)}
    shown = {}
    for path, content in fake.posts:
        if path == "/update":
            point = content["data"][0]
            stage, _, number = content["name"].partition(" ")
            name = f"{stage}/{content['win']}" + (f"_{number}" if number else "")
            shown[name, point["x"][0]] = point["y"][0]
    assert shown == {key: pytest.approx(value, rel=1e-6) for key, value in scalars.items()}
    assert {"loss", "iou", "lr", "val/pairs"} <= set(fake.windows())
    assert {one["name"] for one in fake.of("loss")} == {"train", "val"} and len(fake.of("val/pairs")) == 2
    assert {one["name"] for one in fake.of("lr")} >= {"train 0", "train 1"}
    assert {content["eid"] for _, content in fake.posts} == {"iimf_track-tiny-train"}


def test_a_run_goes_on_without_a_visdom_server_or_when_it_dies(tmp_path, caplog, monkeypatch):
    """Losses and weights are those of a run without."""
    run_tiny(tmp_path / "plain", "TRAIN.EPOCH=2")
    run_tiny(tmp_path / "none", "TRAIN.EPOCH=2", visdom=f"127.0.0.1:{unused_port()}")
    fake = FakeVisdom()
    flushes = []

    def die(self):
        flushes.append(1)
        if len(flushes) == 2:
            fake.wait(2)
            fake.stop()

    monkeypatch.setattr("lib.train.run_log.VisdomLog.flush", die)
    run_tiny(tmp_path / "dies", "TRAIN.EPOCH=2", visdom=fake.address)
    said = [record.getMessage() for record in caplog.records if "visdom" in record.getMessage()]
    assert len(said) == 2 and all("the run goes on without it" in line for line in said)
    states = [
        torch.load(next((tmp_path / which).glob("checkpoints/train/*/*/*_ep0002.pth.tar")), weights_only=True)["net"]
        for which in ("plain", "none", "dies")
    ]
    for other in states[1:]:
        assert all(torch.equal(value, other[key]) for key, value in states[0].items())


def test_a_wrong_visdom_address_is_said_before_anything_starts(monkeypatch):
    started = []
    monkeypatch.setattr("lib.train.run.train", lambda *args, **more: started.append(args))
    monkeypatch.setattr("sys.argv", ["train.py", "--script", "iimf_track", "--config", "tiny", "--visdom", "host:port"])
    with pytest.raises(InputError, match="--visdom host:port: expected HOST:PORT"):
        train_command.main()
    assert started == []


def test_the_package_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    kept = run_tiny(tmp_path, "TRAIN.EPOCH=1", wandb="towers")
    assert (kept / "wandb.txt").read_text().strip()
    (written,) = (kept / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"train/loss" in written.read_bytes() and curves(tmp_path, TINY).Tags()["scalars"]
