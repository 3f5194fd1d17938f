"""What training adds to the readers: splits to validate on, a word about test sets, infrared for visible sets."""

import logging

import micro
import numpy as np
import pytest
import torch
from trees import put_pair

from lib.core.errors import InputError
from lib.datasets import BENCHMARKS, DATASETS, load_training_set, load_validation_set
from lib.datasets.annotation import read_lines
from lib.datasets.camera import ABSENT
from lib.datasets.readers import lasher
from lib.datasets.sequence import VISIBLE, Frames, Sequence
from lib.train.data.loader import build_loader
from lib.train.data.modality import StreamRules


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


def visible(boxes=((40, 30, 24, 20), (60, 40, 24, 20)), seed=0):
    """A visible sequence of noise."""
    picture = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), np.uint8)

    class Noise(Frames):
        modalities = (VISIBLE,)

        def __len__(self):
            return len(boxes)

        def __getitem__(self, index):
            return [picture]

    return Sequence("noise", Noise(), np.array(boxes, float))


def samples(*changes, stage=0, number=24, datasets=None):
    cfg = micro.config("iimf_track", f"DATA.TRAIN.SAMPLE_PER_EPOCH={number}", f"DATA.VAL.SAMPLE_PER_EPOCH={number}",
                       "TRAIN.BATCH_SIZE=1", "TRAIN.NUM_WORKER=0", "DATA.TRAIN.DATASETS_RATIO=[1]",
                       "DATA.TRAIN.DATASETS_NAME=[x]", *changes)  # fmt: skip
    return [sample.batch for sample in build_loader(cfg, datasets or [[visible()]], stage=stage)]


def test_generated_infrared_is_grey_of_its_own_and_leaves_the_visible_stream():
    grey, made = samples(number=3), samples("DATA.INFRARED=generated", number=3)
    for old, new in zip(grey, made, strict=True):
        assert torch.equal(old.search[:, 0], new.search[:, 0]) and torch.equal(old.search_box, new.search_box)
        assert not torch.equal(old.search[:, 1], new.search[:, 1])
        assert torch.equal(new.search[:, 1, 0], new.search[:, 1, 2])
    again = samples("DATA.INFRARED=generated", number=3)
    assert all(torch.equal(a.search, b.search) for a, b in zip(made, again, strict=True))


def test_generated_infrared_gives_one_heat_to_a_sample_and_another_to_the_next():
    streams, picture = StreamRules(2, "generated"), visible().frames[0]
    keys = ((1, 0, 1, 0), (1, 0, 1, 0), (1, 0, 1, 1))
    first, second, other = (streams.stack(picture, ("visible",), "a", key) for key in keys)
    assert np.array_equal(first, second) and not np.array_equal(first[..., 3:], other[..., 3:])
    pair = [picture[0], picture[0] // 2]
    kept = streams.stack(pair, ("visible", "infrared"), "a", keys[0])[..., 3:]
    assert np.array_equal(kept, pair[1])  # recorded infrared stays


def test_modality_dropout_takes_one_stream_from_template_and_search():
    full, dropped = samples(number=80), samples("TRAIN.MODALITY_DROPOUT=0.5", number=80)
    lost = torch.stack([(batch.search.flatten(2) == ABSENT).all(2)[0] for batch in dropped])
    blank = torch.stack([(batch.template.flatten(2) == ABSENT).all(2)[0] for batch in dropped])
    assert torch.equal(lost, blank) and not lost.all(1).any()
    assert 28 <= lost.any(1).sum() <= 52 and 8 <= lost[:, 0].sum() <= 32  # a half, and of these a half
    for old, new, gone in zip(full, dropped, lost, strict=True):
        assert torch.equal(old.search[0, ~gone], new.search[0, ~gone]) and torch.equal(old.search_box, new.search_box)
    whole = samples("TRAIN.MODALITY_DROPOUT=1", stage=1, number=8)
    assert not any((batch.search.flatten(2) == ABSENT).all(2).any() for batch in whole)
