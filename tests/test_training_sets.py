"""What training adds to the readers: splits to validate on, and a word about test sets."""

import logging

import pytest
from trees import put_pair

from lib.core.errors import InputError
from lib.datasets import BENCHMARKS, DATASETS, lasher, load_training_set, load_validation_set
from lib.datasets.annotation import read_lines


def test_vipts_split_is_whole():
    inside, outside = (read_lines(lasher.SPLITS / name) for name in ("lasher_train882.txt", "lasher_val97.txt"))
    assert len(set(inside)) == 882 and len(set(outside)) == 97 and not set(inside) & set(outside)
    assert "leftgirl'swhitebag" not in inside  # a test sequence


def test_vipts_split_is_read_from_the_training_set(tmp_path, monkeypatch):
    root, lists = tmp_path / "lasher", tmp_path / "lists"
    lists.mkdir()
    monkeypatch.setattr(lasher, "SPLITS", lists)
    (lists / "lasher_train882.txt").write_text("c\na\n")
    (lists / "lasher_val97.txt").write_text("b\nd\n")
    for name in "abc":
        put_pair(root / "trainingset" / name)
    folders = {"lasher_dir": str(root)}
    assert [sequence.name for sequence in load_training_set("LasHeR_train882", folders)] == ["c", "a"]
    with pytest.raises(InputError, match="d: sequence of ViPT's lasher_val97.txt is missing"):
        load_validation_set("LasHeR_val97", folders)


@pytest.mark.parametrize(("name", "warnings"), [("LasHeR_test", 1), ("LasHeR_train", 0)])
def test_validating_on_a_test_set_is_said_once(tmp_path, caplog, name, warnings):
    put_pair(tmp_path / "testingset" / "a")
    put_pair(tmp_path / "trainingset" / "b")
    with caplog.at_level(logging.WARNING):
        assert load_validation_set(name, {"lasher_dir": str(tmp_path)})
    said = [record.getMessage() for record in caplog.records if "is a test set" in record.getMessage()]
    assert len(said) == warnings and all("LasHeR_val97" in message for message in said)


def test_benchmarks_are_data_sets():
    assert set(DATASETS) >= BENCHMARKS
