"""`tracking/check_dataset.py`: every kind of damage is found, counted and named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from trees import ROWS, put_images, put_pair

from lib.cli import check as check_command
from lib.core.errors import InputError
from lib.datasets import load_dataset
from lib.datasets.pack import pack
from lib.test.video.video import write_image

ROOT = Path(__file__).parents[2]
WHOLE = "1,1,4,4\n2,1,4,4\n2,2,4,4\n"  # inside trees' 8x8 images


@pytest.fixture
def check(monkeypatch, capsys):
    """Runs the command; its exit status and what it prints."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["check_dataset.py", *map(str, words)])
        status = 0
        try:
            check_command.main()
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().out

    return run


def counted(output, title):
    return next(int(line.split()[0]) for line in output.splitlines() if title in line)


def test_whole_folder_is_fine(check, tmp_path):
    put_pair(tmp_path / "a", rows=WHOLE)
    put_pair(tmp_path / "b", rows=WHOLE)
    status, output = check("folder", "--data_dir", tmp_path, "--images", "all")
    assert status == 0 and "nothing is wrong" in output
    assert output.startswith("2 sequences, 6 frames, 12 images decoded")


@pytest.fixture
def damaged(tmp_path):
    """LasHeR's layout with one sequence of each trouble."""
    root = tmp_path / "lasher"
    for name in ("whole", "cut", "broken", "sizes", "outside", "empty", "rows"):
        put_pair(root / "trainingset" / name, rows=WHOLE)
    home = root / "trainingset"
    (home / "cut" / "infrared" / "i0002.png").unlink()
    (home / "broken" / "visible" / "v000001.png").write_bytes(b"")
    shutil.rmtree(home / "sizes" / "infrared")
    put_images(home / "sizes" / "infrared", ["i0.png", "i1.png", "i2.png"])
    write_image(home / "sizes" / "infrared" / "i1.png", np.zeros((16, 12, 3), np.uint8))
    (home / "outside" / "visible.txt").write_text("1,1,4,4\n8,0,4,4\n-9,0,4,4\n")
    (home / "empty" / "visible.txt").write_text("0,0,0,0\n" * 3)
    (home / "rows" / "visible.txt").write_text("1,1,4,4\n1,x,4,4\n")
    (root / "trainingsetList.txt").write_text(
        "\n".join([*sorted(path.name for path in home.iterdir()), "gone", "lost"]) + "\n"
    )
    return root


def test_every_kind_of_damage_is_counted_and_named(check, damaged, tmp_path):
    out = tmp_path / "findings.txt"
    status, output = check("LasHeR_train", "--data_dir", damaged, "--images", "all", "--out", out)
    assert status == 1
    assert counted(output, "sequences missing or not readable") == 3
    assert counted(output, "counts that differ") == 2  # of the set, and of cut's streams
    assert counted(output, "cannot be decoded") == 1
    assert counted(output, "wholly outside") == 2
    assert counted(output, "streams differ in size") == 1
    assert counted(output, "without a box") == 1
    lines = out.read_text().splitlines()
    assert len(lines) == 10 and f"{len(lines)} findings" in output
    assert any("rows/visible.txt: line 2: expected 4 numbers" in line for line in lines)
    assert any("v000001.png: image cannot be decoded" in line for line in lines)
    assert any(line == "size\tsizes: frame 2: streams are 8x8 and 12x16" for line in lines)
    assert any("outside: row 3: box -9,0,4,4 lies outside its 8x8 image" in line for line in lines)
    assert sum("gone" in line or "lost" in line for line in lines) == 2


def test_sampled_images_miss_what_lies_between_them(check, damaged):
    output = check("lasher_train", "--data_dir", damaged)[1]
    assert counted(output, "cannot be decoded") == 0 and counted(output, "wholly outside") == 2


def test_images_in_the_middle_of_a_numbered_folder_are_missed(check, tmp_path):
    folder = tmp_path / "TRAIN_0" / "frames" / "v"
    put_images(folder, [f"{index}.jpg" for index in range(3)])
    (tmp_path / "TRAIN_0" / "anno").mkdir()
    (tmp_path / "TRAIN_0" / "anno" / "v.txt").write_text(WHOLE)
    (folder / "1.jpg").unlink()
    output = check("trackingnet_train", "--data_dir", tmp_path, "--images", "all")[1]
    assert counted(output, "images missing") == 1 and counted(output, "cannot be decoded") == 0


def test_coco_is_checked_image_by_image(check, tmp_path):
    put_images(tmp_path / "images" / "train2017", ["1.jpg", "2.jpg"])
    (tmp_path / "annotations").mkdir()
    items = [{"image_id": image, "iscrowd": 0, "bbox": [1, 1, 4, 4]} for image in (1, 1, 2, 3)]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
    content = json.dumps({"images": images, "annotations": items})
    (tmp_path / "annotations" / "instances_train2017.json").write_text(content)
    status, output = check("coco17", "--data_dir", tmp_path)
    assert status == 1 and output.startswith("4 sequences") and "3.jpg" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lasher_tset"], "did you mean lasher_test"),
        (["folder"], "needs --data_dir"),
        (["synthetic_train"], "nothing on disk"),
        (["lasher_test", "--images", "0"], "--images 0"),
        (["lasher_test", "--data_dir", "nowhere"], "correct --data_dir"),
    ],
)
def test_wrong_arguments_are_one_line(check, words, message):
    with pytest.raises(InputError, match=message):
        check(*words)


def test_missing_images_in_the_middle_are_counted(check, tmp_path):
    put_pair(tmp_path / "walk", frames=4, rows=WHOLE + "2,2,4,4\n")
    (tmp_path / "walk" / "visible" / "v000001.png").unlink()
    (tmp_path / "walk" / "infrared" / "i0002.png").unlink()
    status, output = check("folder", "--data_dir", tmp_path)
    assert status == 1 and counted(output, "counts that differ") == 1
    assert "visible lacks 1, infrared lacks 2; only the 2 frames that all have" in output


def test_swapped_streams_are_counted(check, tmp_path):
    put_pair(tmp_path / "walk", rows=WHOLE)
    write_image(
        tmp_path / "walk" / "infrared" / "i0000.png", np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    )
    status, output = check("folder", "--data_dir", tmp_path)
    assert status == 1 and counted(output, "hardly visible and infrared") == 1 and "are the two swapped?" in output


def test_differing_streams_and_a_page_of_output(check, tmp_path):
    for number in range(30):
        put_pair(tmp_path / f"s{number}", rows=ROWS)  # all boxes outside 8x8 images
    status, output = check("folder", "--data_dir", tmp_path)
    assert status == 1 and counted(output, "wholly outside") == 90 and "and 87 more with --out FILE" in output
    assert len(output.splitlines()) < 30


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("3,2,7,6\n4,3,8,7\n", "x1,y1,x2,y2"),
        ("600,500,300,250\n650,400,300,250\n", "thousandths of the image"),
        ("600,500,700,950\n300,200,900,250\n", "x1,y1,x2,y2 in thousandths of the image"),
        ("1,1,4,4\n2,3,5,4\n", ""),
        ("3,2,7,6\n" + "1,1,2,2\n" * 3, ""),  # one of four reaches beyond its image
    ],
)
def test_annotations_in_another_reading_are_counted(check, tmp_path, rows, words):
    put_pair(tmp_path / "walk", frames=rows.count("\n"), rows=rows)
    _, output = check("folder", "--data_dir", tmp_path)
    assert counted(output, "annotations that are hardly x y w h in pixels") == bool(words)
    assert f"walk: boxes stick out of its 8x8 image and look like {words}; write x y w h" in output or not words


def test_damaged_packed_copy_is_found(check, tmp_path, monkeypatch):
    home, packed = tmp_path / "mine", tmp_path / "packed"
    put_pair(home / "a", rows=WHOLE)
    local = {"videos_dir": str(home), "packed_dir": str(packed)}
    monkeypatch.setattr(check_command, "read_local", lambda stage: local)
    pack(load_dataset("videos", {"videos_dir": str(home)}), packed / "videos")
    status, output = check("videos")
    assert status == 0 and "nothing is wrong" in output
    store = packed / "videos" / "images.lmdb"
    content = bytearray(store.read_bytes())
    leaf = max(place for place in range(8192, len(content), 4096) if content[place + 10] == 2)
    content[leaf] ^= 64
    store.write_bytes(content)
    status, output = check("videos")
    assert status == 1 and counted(output, "files of packed images or crops that are damaged") == 1
    assert f"{store}: is damaged" in output
