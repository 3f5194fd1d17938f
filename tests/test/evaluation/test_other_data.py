"""Results know the data that they were made on: what another data set may not take over."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from fake_model import moving_sequence
from trees import put_pair

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.datasets.camera import keep_camera
from lib.datasets.named import data_name
from lib.datasets.pack import pack, read_pack
from lib.datasets.readers.folder import read_folder
from lib.test.evaluation.record import find_finished, record_run
from lib.test.results.files import write_result
from lib.test.results.origin import add_origins, check_scored, origin_of, read_origins

WALK = moving_sequence("walk", 4)
FIRST = WALK.boxes[0]


def put_result(folder, sequence=WALK):
    write_result(folder, sequence.name, sequence.boxes, np.ones(len(sequence)))


def finished(folder, sequence=WALK, data="one"):
    """The names that a run on one sequence finds finished."""
    return find_finished(folder, [sequence], {sequence.name: origin_of(sequence, data)}, read_origins(folder))


@pytest.fixture
def tracked(tmp_path):
    """A folder with the result of WALK and its record."""
    add_origins(tmp_path, {"walk": origin_of(WALK, "one")})
    put_result(tmp_path)
    return tmp_path


OTHERS = {
    "longer": (moving_sequence("walk", 5), "4 frames, .* here is two: 5 frames"),
    "elsewhere": (replace(WALK, boxes=WALK.boxes + [0.25, 0, 0, 0]), "first box 60,50,.* first box 60.25,50,"),
    "other images": (moving_sequence("walk", 4, colour=(9,) * 6), "other images"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_results_of_other_data_are_not_taken_over(tracked, other):
    before = {path: path.read_bytes() for path in tracked.iterdir()}
    with pytest.raises(InputError, match=r"walk\.txt: was tracked on one: .*" + OTHERS[other][1]) as error:
        finished(tracked, OTHERS[other][0], "two")
    assert "choose another folder (--results_dir, --out)" in str(error.value) and "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tracked.iterdir()} == before


def test_data_that_moved_are_the_same_data(tracked):
    assert finished(tracked) == finished(tracked, data="/moved") == {"walk"}
    unread = moving_sequence("walk", 4, broken=0)
    assert finished(tracked, unread) == {"walk"}
    with pytest.raises(InputError, match="was tracked on one"):  # nothing tells that these are the same images
        finished(tracked, unread, data="/moved")


def test_a_sequence_without_a_result_may_come_from_elsewhere(tracked):
    (tracked / "walk.txt").unlink()
    other = moving_sequence("walk", 5)
    assert finished(tracked, other, "two") == set()
    add_origins(tracked, {"walk": origin_of(other, "two")})
    put_result(tracked, other)
    assert finished(tracked, other, "two") == {"walk"}


def test_older_results_are_known_by_their_first_box(tmp_path, caplog):
    put_result(tmp_path)
    with caplog.at_level("INFO"):
        assert finished(tmp_path) == finished(tmp_path, replace(WALK, boxes=WALK.boxes + 0.9)) == {"walk"}
    assert "1 results have no record of their data; their first boxes are those given here" in caplog.text
    with pytest.raises(InputError, match=r"walk\.txt: holds 4 boxes, first 60,50,30,20; here is one: .* 62,50"):
        finished(tmp_path, replace(WALK, boxes=WALK.boxes + [2, 0, 0, 0]))
    with pytest.raises(InputError, match="holds 4 boxes"):
        finished(tmp_path, moving_sequence("walk", 3))
    assert finished(tmp_path, moving_sequence("walk", 5)) == set()  # a file that was cut short


def test_names_that_share_a_file_are_refused_over_several_runs(tracked):
    with pytest.raises(InputError, match="walk and walk_time: both sequences would write"):
        finished(tracked, moving_sequence("walk_time", 4))


def test_packed_images_are_the_same_data(tmp_path):
    put_pair(tmp_path / "data" / "walk", annotations=("visible.txt",))
    files = read_folder(tmp_path / "data")
    pack(files, tmp_path / "packed")
    (packed,) = read_pack(tmp_path / "packed")
    assert packed.frames.fingerprint() == files[0].frames.fingerprint() != ""
    one = keep_camera(files[0], "visible", 2)
    assert one.frames.fingerprint() == keep_camera(packed, "visible", 2).frames.fingerprint()
    assert one.frames.fingerprint() != files[0].frames.fingerprint()
    shutil.rmtree(tmp_path / "data")
    assert files[0].frames.fingerprint() == ""


@pytest.mark.parametrize("text", ["[]", "{", '{"walk": 1}', '{"walk": {"data": "x"}}', "[" * 100_000,
    '{"walk": {"data": 1, "frames": 1, "first_box": [], "images": ""}}'])  # fmt: skip
def test_a_damaged_record_is_one_line(tmp_path, text):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(InputError, match=r"data\.json: is not a record of the data of results; remove it") as error:
        read_origins(tmp_path)
    assert "\n" not in str(error.value)


def test_the_record_is_one_line_a_sequence(tracked):
    add_origins(tracked, {"a": origin_of(moving_sequence("a", 2), "two")})
    lines = (tracked / "data.json").read_text().splitlines()
    assert len(lines) == 4 and json.loads("\n".join(lines))["a"]["frames"] == 2
    assert {name: origin.data for name, origin in read_origins(tracked).items()} == {"walk": "one", "a": "two"}


def test_scoring_against_other_data_is_refused_or_said(tracked, caplog):
    check_scored(tracked, "one", {"walk": [FIRST], "b": [FIRST + 9]})
    check_scored(tracked, "", {"walk": [FIRST + 50, FIRST]})  # infrared boxes
    assert not caplog.text
    check_scored(tracked, "twin", {"walk": [FIRST + 0.5]})
    assert "1 of 1 results were tracked on one and are scored against twin (first boxes agree)" in caplog.text
    with pytest.raises(
        InputError, match="walk was tracked on one: .*; two has first box 62,52,32,22: score it against"
    ):
        check_scored(tracked, "two", {"walk": [FIRST + 2]})


def test_what_records_call_data(tmp_path):
    assert data_name("LasHeR_test", None) == "lasher_test"
    assert data_name("folder", str(tmp_path / "x" / "..")) == str(tmp_path)


def test_results_without_a_record_are_not_adopted(tmp_path):
    cfg = load_config("opencv", "static")
    put_result(tmp_path)
    with pytest.raises(InputError, match=r"holds results, but no whole config\.yaml .*choose another folder"):
        record_run(tmp_path, cfg, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.txt", "walk_time.txt"]
    (tmp_path / "config.yaml").write_text("MODEL: {NAME: static}\n")
    with pytest.raises(InputError, match="no whole config"):
        record_run(tmp_path, cfg, [])
