"""Every visible benchmark from its own layout through both commands: follow, then score."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_model import fake_tracker, moving_sequence

from lib.cli import score
from lib.cli import test as test_command
from lib.core.errors import InputError
from lib.datasets.readers import lasot, tabled
from lib.datasets.readers.tc128 import read_tc128
from lib.test.analysis import sources
from lib.test.evaluation import open as opening
from lib.test.video.video import write_image

LENGTH = 5
SEQUENCE = moving_sequence("walk", length=LENGTH, step=(4, 3))
ABSENT = "nan,nan,nan,nan"


def rows(separator: str = ",", absent: int | None = None) -> str:
    lines = [separator.join(f"{value:g}" for value in box) for box in SEQUENCE.boxes]
    return "\n".join(lines if absent is None else [*lines[:absent], ABSENT, *lines[absent + 1 :]]) + "\n"


def put(images: Path, digits: int, annotation: Path, text: str, first: int = 1) -> None:
    for index in range(LENGTH):
        write_image(images / f"{index + first:0{digits}d}.jpg", SEQUENCE.frames[index][0])
    annotation.parent.mkdir(parents=True, exist_ok=True)
    annotation.write_text(text)


def put_otb(root: Path) -> None:
    put(root / "Walk" / "img", 4, root / "Walk" / "groundtruth_rect.txt", rows("\t"))


def put_uav(root: Path) -> None:
    put(root / "data_seq/UAV123/walk", 6, root / "anno/UAV123/walk.txt", rows(absent=3))


def put_uav20l(root: Path) -> None:
    put(root / "data_seq/UAV123/walk", 6, root / "anno/UAV20L/walk.txt", rows(absent=3))


def put_lasot(root: Path) -> None:
    folder = root / "walk" / "walk-1"
    put(folder / "img", 8, folder / "groundtruth.txt", rows())
    (folder / "full_occlusion.txt").write_text("0,0,0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,0,0,0")


def put_nfs(root: Path) -> None:
    put(root / "sequences" / "walk", 5, root / "anno" / "nfs_walk.txt", rows("\t"))


def put_tc128(root: Path) -> None:
    put(root / "Walk_ce" / "img", 4, root / "Walk_ce" / "Walk_ce_gt.txt", rows(), first=7)
    (root / "Walk_ce" / "Walk_ce_frames.txt").write_text("7,11\n")


def put_vot(root: Path) -> None:
    corners = [(x, y, x + w, y, x + w, y + h, x, y + h) for x, y, w, h in SEQUENCE.boxes]
    text = "\n".join(",".join(f"{value:g}" for value in row) for row in corners)
    put(root / "walk" / "color", 8, root / "walk" / "groundtruth.txt", text)


def put_vot_lt(root: Path) -> None:
    put(root / "walk", 8, root / "walk" / "groundtruth.txt", rows(absent=3))


@pytest.fixture
def evaluate(monkeypatch, tmp_path, capsys):
    """Track a data set and score it, as the two commands do: the printed table."""

    def call(name: str, local: dict[str, str], *words: str) -> str:
        module = {"test": test_command, "analysis_results": score}[name]
        monkeypatch.setattr(opening, "load_tracker", lambda *_, **__: fake_tracker(modalities=1))
        monkeypatch.setattr(module, "read_local", lambda part: local)
        monkeypatch.setattr(sources, "read_local", lambda part: local)
        monkeypatch.setattr("sys.argv", [name, *words])
        module.main()
        return capsys.readouterr().out

    def both(dataset: str, key: str, *words: str) -> str:
        local = {key: str(tmp_path / "data"), "results_dir": str(tmp_path / "results")}
        (tmp_path / "weights.pth").write_bytes(b"any")
        config = "vitb_256_mae_32x4_ep300"
        tracking = ["--checkpoint", str(tmp_path / "weights.pth"), "--device", "cpu"]
        call("test", local, "ostrack", config, "--dataset_name", dataset, *tracking)
        names = ["--tracker_name", "ostrack", "--tracker_param", config, "--dataset_name", dataset]
        return call("analysis_results", local, *names, *words)

    return both


def only(table: str, row: tabled.Row) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: monkeypatch.setattr(tabled, "read_table", lambda name: [row] if name == table else [])


def one_lasot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasot, "read_lines", lambda path: ["walk-1"] if path == lasot.TEST_LIST else [])


CASES = {
    "otb": (put_otb, "otb_dir", only("otb", tabled.Row("Walk", "Walk", 1, LENGTH)), "otb", 1.0),
    "uav": (put_uav, "uav_dir", only("uav", tabled.Row("uav_walk", "walk", 1, LENGTH)), "uav", 0.8),
    "uav20l": (put_uav20l, "uav_dir", lambda monkeypatch: None, "uav", 0.8),
    "lasot": (put_lasot, "lasot_dir", one_lasot, "lasot", 1.0),
    "nfs": (put_nfs, "nfs_dir", only("nfs", tabled.Row("nfs_walk", "walk", 1, LENGTH)), "pytracking", 1.0),
    "tc128": (put_tc128, "tc128_dir", lambda monkeypatch: None, "otb", 1.0),
    "vot18": (put_vot, "vot18_dir", lambda monkeypatch: None, "plain", 1.0),
}


def figures(output: str) -> dict[str, float]:
    lines = [line.split() for line in output.splitlines() if line]
    header = next(line for line in lines if line[0] == "tracker")
    row = next(line for line in lines if line[0].startswith("ostrack/"))
    return {name: float(value) for name, value in zip(header[1:], row[1:], strict=False) if name.isalpha()}


@pytest.mark.parametrize("dataset", CASES)
def test_followed_and_scored(evaluate, monkeypatch, tmp_path, dataset):
    make, key, prepare, rules, success = CASES[dataset]
    make(tmp_path / "data")
    prepare(monkeypatch)
    output = evaluate(dataset, key)
    assert f"{dataset}: 1 sequence, {rules} rules" in output
    found = figures(output)
    assert (found["PR"], found["NPR"]) == (100, 100)
    # an overlap of 1 beats 20 of 21 thresholds, JPEG edges cost a little; `success` of the frames have a box
    assert 85 * success < found["SR"] <= 100 * success * 20 / 21 + 0.01


@pytest.mark.parametrize("dataset", ["votlt18", "votlt19", "uav20l"])
def test_long_term_sets(evaluate, tmp_path, dataset):
    make, key = (put_uav20l, "uav_dir") if dataset == "uav20l" else (put_vot_lt, f"{dataset}_dir")
    make(tmp_path / "data")
    rules = ["--rules", "vot_lt"] if dataset == "uav20l" else []
    found = figures(evaluate(dataset, key, *rules))
    # three targets of four frames, a box in each: precision 3/4 of the overlap, recall all of it
    assert found["Re"] > 85 and found["Pr"] == pytest.approx(0.75 * found["Re"], abs=0.01)
    assert found["F"] == pytest.approx(2 * found["Pr"] * found["Re"] / (found["Pr"] + found["Re"]), abs=0.01)
    found = figures(evaluate(dataset, key, "--rules", "oxuva"))
    assert (found["TPR"], found["TNR"], found["GM"], found["MaxGM"]) == (100, 0, 0, round(100 * math.sqrt(1 / 4), 2))


def test_tc128_frames_out_of_order_are_named(tmp_path):
    put_tc128(tmp_path)
    (tmp_path / "Walk_ce" / "Walk_ce_frames.txt").write_text("11,7\n")
    with pytest.raises(InputError, match=r"Walk_ce_frames\.txt: images 11 to 7; expected the first before the last"):
        read_tc128(tmp_path)
