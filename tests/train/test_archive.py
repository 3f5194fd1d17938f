"""What a run leaves in its folder: checkpoints that stay, the best one, pictures, the code's version."""

import errno
import itertools
import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

import micro
import numpy as np
import pytest
import runs
import test_training as basics
import torch
from killed import killed_at

from lib.cli import train
from lib.core.checkpoint import load_checkpoint
from lib.core.errors import InputError
from lib.core.lock import hold
from lib.core.measure import machine
from lib.models import build_model
from lib.models.base import PairBatch, ScoreMap
from lib.models.weights import load_state
from lib.train import preflight, resuming, run
from lib.train.archive import Archive
from lib.train.checkpoints import epoch_checkpoints, find_newest
from lib.train.copies import CheckpointCopies
from lib.train.picture import draw_pairs

make_trainer = basics.make_trainer


def names(folder):
    return sorted(path.name.removeprefix("IIMFTrack_").removesuffix(".pth.tar") for path in folder.glob("*.tar"))


def test_last_checkpoints_and_the_best_stay(make_trainer, tmp_path):
    changes = ["TRAIN.KEEP_CHECKPOINTS=2", "TRAIN.EPOCH=4", "TRAIN.VAL_EPOCH_INTERVAL=4"]
    trainer = make_trainer(*changes)
    trainer.run()
    assert names(tmp_path) == ["best", "ep0003", "ep0004"]
    second = make_trainer(*changes, "TRAIN.EPOCH=5")
    runs.resume(second, find_newest(tmp_path))
    second.run()
    assert names(tmp_path) == ["best", "ep0004", "ep0005"], "a run that goes on knows what it wrote"


def test_nothing_but_the_run_s_own_untouched_files_is_deleted(make_trainer, tmp_path):
    strangers = ["IIMFTrack_ep0000.pth.tar", "other_ep0001.pth.tar", "notes.txt"]
    for name in strangers:
        (tmp_path / name).write_text(name)
    trainer = make_trainer("TRAIN.KEEP_CHECKPOINTS=1", "TRAIN.VAL_EPOCH_INTERVAL=9")
    trainer.cfg.TRAIN.EPOCH = 1
    trainer.run()
    (tmp_path / "IIMFTrack_ep0001.pth.tar").write_text("mine now")
    trainer.cfg.TRAIN.EPOCH = 3
    trainer.run()
    assert names(tmp_path) == ["best", "ep0000", "ep0001", "ep0003", "other_ep0001"]
    assert [(tmp_path / name).read_text() for name in strangers] == strangers


CONTENT = {"net": {"w": torch.zeros(2)}, "epoch": 1}


def test_best_is_what_validated_best(tmp_path):
    path, cfg = tmp_path / "A_best.pth.tar", basics.config()
    archive = Archive(tmp_path, cfg, epoch=0)
    for epoch, iou in enumerate([0.3, 0.5, 0.4, 0.5], start=1):
        archive.add_if_best(path, {**CONTENT, "epoch": epoch}, iou)
    assert load_checkpoint(path)["epoch"] == 2
    again = Archive(tmp_path, cfg, epoch=4)
    again.add_if_best(path, {**CONTENT, "epoch": 5}, 0.45)
    assert load_checkpoint(path)["epoch"] == 2
    Archive(tmp_path, cfg, epoch=0).add_if_best(path, {**CONTENT, "epoch": 6}, 0.1)
    assert load_checkpoint(path)["epoch"] == 6, "a run that begins anew has a best of its own"


def test_best_of_another_run_stays_as_it_is(tmp_path, caplog):
    path = tmp_path / "A_best.pth.tar"
    Archive(tmp_path, basics.config(), epoch=0).add_if_best(path, CONTENT, 0.3)
    other = Archive(tmp_path, basics.config("TRAIN.LR=0.1"), epoch=0)
    with caplog.at_level(logging.WARNING):
        other.add_if_best(path, {**CONTENT, "epoch": 9}, 0.9)
    assert load_checkpoint(path)["epoch"] == 1
    assert "A_best.pth.tar belongs to another run and is kept; move it away" in caplog.text


def train_on(folder, weights_dir):
    """Two epochs, from where the folder's run stopped; the second is the best."""
    newest = find_newest(folder)
    begin = 0 if newest is None else load_checkpoint(newest)["epoch"]
    copies = CheckpointCopies(weights_dir, "a_b")
    archive = Archive(folder, basics.config("TRAIN.KEEP_CHECKPOINTS=1"), epoch=begin, copies=copies)
    for epoch in range(begin + 1, 3):
        archive.add_if_best(folder / "A_best.pth.tar", {"epoch": epoch}, (0.3, 0.5)[epoch - 1])
        archive.add(folder / f"A_ep{epoch:04d}.pth.tar", {"epoch": epoch})


def left(*folders):
    """The files of some folders with the epochs that they hold; the record without times."""
    files = {path.name: path for folder in folders for path in sorted(folder.iterdir())}
    record = json.loads(files.pop("written.json").read_text())
    known = sorted(Path(name).name for name in record["files"])
    return {name: load_checkpoint(path)["epoch"] for name, path in files.items()}, known, record["best"]


def test_run_that_is_killed_at_any_moment_knows_its_files_and_leaves_the_same(tmp_path, monkeypatch):
    train_on(tmp_path / "whole", tmp_path / "whole_copies")
    expected = left(tmp_path / "whole", tmp_path / "whole_copies")
    assert expected[0] == {"A_best.pth.tar": 2, "A_ep0002.pth.tar": 2, "a_b_best.pth": 2, "a_b_e001.pth": 1,
                           "a_b_e002.pth": 2, "a_b_last.pth": 2}  # fmt: skip
    monkeypatch.setattr(os, "fsync", lambda file: None)  # takes a while
    for moment in itertools.count():
        folders, ended = [tmp_path / f"{moment}{which}" for which in ("", "_copies")], False
        with killed_at(moment):
            train_on(*folders)
            ended = True
        if ended:
            break
        train_on(*folders)
        assert left(*folders) == expected, moment
    assert moment > 20


def test_full_disk_of_the_copies_ends_the_run_and_the_next_one_makes_them(tmp_path, monkeypatch):
    copy = shutil.copyfile

    def fill(source, target):
        if "_e002" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))
        return copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fill)
        with pytest.raises(OSError, match="No space left") as raised:
            train_on(tmp_path / "run", tmp_path / "copies")
    assert raised.value.filename == str(tmp_path / "copies" / "a_b_e002.pth")
    train_on(tmp_path / "run", tmp_path / "copies")
    train_on(tmp_path / "whole", tmp_path / "whole_copies")
    assert left(tmp_path / "run", tmp_path / "copies") == left(tmp_path / "whole", tmp_path / "whole_copies")


def test_copies_of_another_run_are_not_replaced_when_a_run_goes_on(tmp_path):
    train_on(tmp_path / "other", tmp_path / "copies")
    (tmp_path / "run").mkdir()
    for name in ("A_ep0002.pth.tar", "written.json"):
        shutil.copy2(tmp_path / "other" / name, tmp_path / "run")
    record = json.loads((tmp_path / "run/written.json").read_text())
    record["files"] = {name: stamp for name, stamp in record["files"].items() if name.startswith("A_")}
    (tmp_path / "run/written.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"a_b_best\.pth: belongs to another run; choose another --weights_dir"):
        train_on(tmp_path / "run", tmp_path / "copies")
    (tmp_path / "run/written.json").write_text(json.dumps({**record, "copies": False}))  # before copies were listed
    train_on(tmp_path / "run", tmp_path / "copies")


def test_torn_newest_checkpoint_is_passed_over_with_a_line_and_written_again(make_trainer, tmp_path, caplog):
    whole = make_trainer()
    whole.run()
    expected = basics.weights(whole)
    newest = tmp_path / "IIMFTrack_ep0003.pth.tar"
    newest.write_bytes(newest.read_bytes()[:-1000])
    again = make_trainer()
    path, content = resuming.load_newest(tmp_path)
    assert path.name == "IIMFTrack_ep0002.pth.tar"
    assert "ep0003.pth.tar: is not a whole checkpoint" in caplog.text
    assert "training goes on from the last whole one and will write it again" in caplog.text
    resuming.resume(again, path, content)
    again.run()
    assert basics.same(expected, basics.weights(again)) and load_checkpoint(newest)["epoch"] == 3
    for path in epoch_checkpoints(tmp_path):
        path.write_bytes(b"")
    assert resuming.load_newest(tmp_path) is None and "so training begins anew" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", '{"run": 1}', '{"run": 1, "files": 3, "best": 0}'])
def test_damaged_list_is_one_clear_line(tmp_path, text):
    (tmp_path / "written.json").write_text(text)
    with pytest.raises(
        InputError, match=r"written\.json: is damaged; remove it \(the checkpoints beside it are then kept\)"
    ):
        Archive(tmp_path, basics.config(), epoch=4)


def test_best_checkpoint_loads_as_any_other(make_trainer, tmp_path):
    trainer = make_trainer("TRAIN.EPOCH=1")
    trainer.run()
    content = load_checkpoint(tmp_path / "IIMFTrack_best.pth.tar")
    network = build_model(trainer.cfg)
    load_state(network, content["net"])
    assert basics.same(network.state_dict(), trainer.model.state_dict()) and content["network"] == "iimf_track"
    assert find_newest(tmp_path).name == "IIMFTrack_ep0001.pth.tar"


def test_every_validation_shows_pairs(make_trainer):
    trainer = make_trainer("TRAIN.EPOCH=2", run_log=basics.MemoryLog())
    trainer.run()
    assert [(name, step, order) for name, _, step, order in trainer.run_log.images] == [
        ("val/pairs", 3, "HWC"), ("val/pairs", 6, "HWC"),
    ]  # fmt: skip
    assert trainer.run_log.images[0][1].shape == (2 * 64, 5 * 64, 3)


@pytest.mark.parametrize("variant", ["iimf_track", "ostrack", "ostrack-corner", "tbsi_track"])
def test_picture_holds_images_true_box_and_score_map(variant):
    normal, model = micro.batch(variant), micro.model(variant)
    pixels = [torch.full_like(normal[index], 100).byte() for index in (0, 2)]
    raw = PairBatch(pixels[0], normal.template_box, pixels[1], normal.search_box)
    (picture, distributions), m = draw_pairs(model, raw, normal), model.modalities
    assert distributions == {} and picture.dtype == np.uint8 and picture.shape == (2 * 64, (2 * m + 1) * 64, 3)
    assert (picture[:, : m * 64] == 100).all()
    x, y, w, h = (normal.search_box[1] * 64).int().tolist()
    second = picture[64:, m * 64 : (m + 1) * 64]
    green = (second == (0, 255, 0)).all(axis=2)
    assert green[y, x + w] or green[y + h, x] or green[y, x], "of a corner the found box may lie on it"
    assert len(np.unique(picture[:, 2 * m * 64 :])) > 1
    assert (raw.search == 100).all(), "the batch itself is not drawn on"


def test_histograms_curves_and_other_maps_are_asked_of_the_network(make_trainer, monkeypatch):
    kind = type(micro.model("iimf_track"))

    def inner_maps(self, prediction):
        ramp = torch.linspace(-3, 5, 16).view(1, 4, 4)
        return [ScoreMap(ramp.expand(len(prediction.score_map), 4, 4), 0.125, 0.25)]

    monkeypatch.setattr(kind, "inner_maps", inner_maps)
    monkeypatch.setattr(kind, "distributions", lambda self, prediction: {"scores": prediction.score_map})
    monkeypatch.setattr(kind, "watched", lambda self: {"gain": self.box_head.state_dict()["conv1_ctr.1.weight"].mean()})
    trainer = make_trainer("TRAIN.EPOCH=1", run_log=basics.MemoryLog())
    trainer.run()
    (picture,) = [image for _, image, _, _ in trainer.run_log.images]
    assert picture.shape == (2 * 64, 6 * 64, 3) and picture[:64, -64:].min() == 0 and picture[:64, -64:].max() == 255
    ((name, values, step),) = trainer.run_log.histograms
    assert (name, step) == ("val/scores", 3) and values.shape[1:] == (1, 4, 4) and values.dtype == np.float32
    gains = [value for name, value, _ in trainer.run_log.scalars if name == "train/gain"]
    assert len(gains) == 3 and gains[-1] == pytest.approx(
        trainer.model.box_head.state_dict()["conv1_ctr.1.weight"].mean().item()
    )


def test_environment_names_the_code(tmp_path, monkeypatch):
    run.save_setup(tmp_path, basics.config())
    assert json.loads((tmp_path / "environment.json").read_text())["code"] == machine.describe_code()
    monkeypatch.setattr(machine, "ROOT", tmp_path / "repository")
    (tmp_path / "repository").mkdir()
    assert machine.describe_code() == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"], [*identity, "tag", "v7"]):
        subprocess.run(["git", *command], cwd=tmp_path / "repository", check=True)
    assert machine.describe_code() == "v7"


@pytest.mark.parametrize("where", ["checkpoints/train/iimf_track/x", "weights"])
def test_two_trainings_do_not_write_into_one_folder(tmp_path, where):
    name = "" if where != "weights" else "iimf_track_x"
    with (
        hold(tmp_path / where, "", name),
        pytest.raises(InputError, match=r"is writing here; wait for its end, or cho"),
    ):
        run.train(
            basics.config(), script="iimf_track", config="x", save_dir=tmp_path, weights_dir=str(tmp_path / "weights")
        )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/train/iimf_track/x/IIMFTrack_ep0001.pth.tar",
        "checkpoints/train/iimf_track/x/IIMFTrack_best.pth.tar",
        "checkpoints/train/iimf_track/x/written.json",
        "checkpoints/train/iimf_track/x/config.yaml",
        "weights/iimf_track_x_e001.pth",
        "weights/iimf_track_x_last.pth",
        "logs/iimf_track-x.log",
    ],
)
def test_a_folder_in_the_place_of_a_file_is_refused_before_training(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{Path(name).name}: is a folder, but a file is to get this name"):
        run.train(
            basics.config(), script="iimf_track", config="x", save_dir=tmp_path, weights_dir=str(tmp_path / "weights")
        )
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"]


@pytest.mark.parametrize("change", ["MODEL.PRETRAIN_FILE=nowhere.pth", "DATA.TRAIN.DATASETS_NAME=[videos/nowhere]"])
def test_data_and_weights_that_are_not_there_leave_nothing(tmp_path, monkeypatch, change):
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(
        preflight, "read_local", lambda kind: {"videos_dir": str(tmp_path), "pretrained_dir": str(tmp_path)}
    )
    sets = ["DATA.TRAIN.DATASETS_NAME=[videos/data]", "DATA.VAL.DATASETS_NAME=[videos/data]"]
    with pytest.raises(InputError, match="nowhere"):
        train.main(["iimf_track", "tiny", "--save_dir", str(tmp_path / "out"), "--set", *sets, change])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
