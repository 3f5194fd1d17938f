"""Sequences that another data set has too stay out of training."""

import logging

import numpy as np
import pytest
import test_training as basics

from lib.core.errors import InputError
from lib.datasets.sequence import Collection, Sequence
from lib.train import run
from lib.train.data.left_out import leave_out


def video(name, of=""):
    return Sequence(name, [], np.zeros((0, 4)), video=of)


class Tracks(Collection):
    still = True
    categories = ("car", "dog", "car")

    def __len__(self):
        return 3

    def make(self, index):
        return video(f"{'abc'[index]}_00", of="abc"[index])


def test_names_of_the_other_set_are_left_out(caplog):
    sets = [[video("a"), video("b"), video("c")], Tracks(), [video("z")]]
    with caplog.at_level(logging.INFO):
        plain, tracks, last = leave_out(sets, ["one", "two", "three"], {"test": [video("b")], "other": [video("z")]})
    assert [one.name for one in plain] == ["a", "c"] and last == []
    assert isinstance(tracks, Collection) and tracks.still and tracks.categories == ["car", "car"]
    assert [one.name for one in tracks] == ["a_00", "c_00"] and len(tracks) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "one: 1 sequence left out, which test has too",
        "two: 1 sequence left out, which test has too",
        "three: 1 sequence left out, which other has too",
    ]


def test_a_set_of_other_names_is_one_clear_line():
    with pytest.raises(InputError, match=r"DATA\.TRAIN\.WITHOUT: test: none of its 1 names is among the training"):
        leave_out([[video("a")]], ["one"], {"test": [video("B")]})


def test_a_run_is_without_them(monkeypatch):
    known = {"x": [basics.squares(), basics.squares(seed=1)], "held": [video("second")]}
    known["x"][1] = Sequence("second", known["x"][1].frames, known["x"][1].boxes)
    for name in ("load_training_set", "load_validation_set", "load_dataset"):
        monkeypatch.setattr(run, name, lambda name, folders: known[name])
    cfg = basics.config("DATA.TRAIN.WITHOUT=[held]")
    loaders = run.build_loaders(cfg, {})
    assert [one.name for one in loaders.train.dataset.pairs.datasets[0]] == ["squares"]
    assert len(loaders.val.dataset.pairs.datasets[0]) == 2
