"""Scoring without images, and published figures beside ours."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.cli import compare_figures as compare_figures_command
from lib.core.errors import InputError
from lib.test.analysis.annotations import read_ground_truths
from lib.test.analysis.published import Compared, Figure, compare_figures, comparison_table, read_figures
from lib.test.metrics import PROTOCOLS, score


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_truths_from_annotation_files_alone(tmp_path):
    put(tmp_path / "gtot/a/groundTruth_v.txt", "1 2 4 6")
    put(tmp_path / "gtot/a/groundTruth_i.txt", "1 2 5 6")
    put(tmp_path / "vtuav/b/rgb.txt", "1 2 3 4\n1 2 3 4")
    put(tmp_path / "vtuav/b/ir.txt", "1 2 3 4\n1 2 3 4\n")
    put(tmp_path / "lasot/c-1/groundtruth.txt", "1,2,3,4\n1,2,3,4")
    put(tmp_path / "lasot/c-1/out_of_view.txt", "0,1")
    put(tmp_path / "flat/d.txt", "1,2,3,4")
    gtot = read_ground_truths("gtot", tmp_path / "gtot")["a"]
    assert gtot.boxes.tolist() == [[1, 2, 3, 4]] and gtot.boxes_infrared.tolist() == [[1, 2, 4, 4]]
    assert read_ground_truths("vtuav_st", tmp_path / "vtuav")["b"].annotated.tolist() == [0, 10]
    assert read_ground_truths("lasot", tmp_path / "lasot")["c-1"].absent.tolist() == [False, True]
    assert list(read_ground_truths("lasher_test", tmp_path / "flat")) == ["d"]
    put(tmp_path / "lasot/c-1/out_of_view.txt", "0,1,0")
    with pytest.raises(InputError, match="c-1: 3 flags for 2 boxes"):
        read_ground_truths("lasot", tmp_path / "lasot")
    with pytest.raises(InputError, match="--annotations .*: no <sequence>.txt files and no folders"):
        read_ground_truths("rgbt234", tmp_path)  # folders of other files are none of sequences


def put_raw_results(root: Path) -> None:
    """A GTOT of one video, and MTNet's results, which are not what it published."""
    put(root / "gtot/groundtruth/a/groundTruth_v.txt", "10 10 30 40\n12 11 32 41")
    put(root / "gtot/groundtruth/a/groundTruth_i.txt", "10 10 30 40\n12 11 32 41")
    put(root / "gtot/MTNet/MTNet_a.txt", "10 10 30 10 30 40 10 40\n92 11 112 11 112 41 92 41")


def test_comparison_with_published_figures(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="no raw results; expected"):
        compare_figures(tmp_path)
    put_raw_results(tmp_path)
    compared = compare_figures(tmp_path)
    assert [item.figure[:3] for item in compared] == [("gtot", "MTNet", "PR"), ("gtot", "MTNet", "SR")]
    assert compared[0].ours == 0.5 and compared[0].difference == pytest.approx(0.4347770700636943)
    monkeypatch.setattr(sys, "argv", ["compare_figures", str(tmp_path), "--markdown", str(tmp_path / "table.md")])
    with pytest.raises(InputError, match="gtot MTNet .* here, .* by the kit"):
        compare_figures_command.main()
    assert "| gtot | MTNet | PR | 50.0000 | 93.4777 | 4.3e-01 | 93.5 |" in (tmp_path / "table.md").read_text()
    assert "93.4777" in capsys.readouterr().out


def test_published_figures_are_the_kits_rounded():
    known = read_figures()
    assert len(known) == 49 and all(abs(figure.published - figure.kit) <= 6e-4 for figure in known)
    assert {(figure.dataset, figure.metric) for figure in known} == {
        *(("lasher", metric) for metric in ("PR", "NPR", "SR")),
        *(("gtot", metric) for metric in ("PR", "SR")),
        *(("rgbt234", metric) for metric in ("MPR", "MSR")),
    }
    table = comparison_table([Compared(Figure("gtot", "x", "PR", 0.5, 0.25), 0.75)])
    assert table.notes == ("Largest difference to the kits: 5.0e-01 of 1 (1 figures).",)


#: A tracker that never moves, by an implementation of its own: only the annotations matter.
STATIC = {
    "lasher": {"PR": 0.06081, "NPR": 0.04132, "SR": 0.06799},
    "gtot": {"PR": 0.05414, "SR": 0.07368},
    "rgbt234": {"MPR": 0.12058, "MSR": 0.09083},
    "rgbt210": {"PR": 0.11063, "SR": 0.08415},
}


@pytest.mark.skipif("RGBT_RESULTS" not in os.environ, reason="RGBT_RESULTS names no folder of published raw results")
def test_published_raw_results():
    """RGBT_RESULTS: a folder with <set>/groundtruth and <set>/<tracker> for lasher, gtot, rgbt234 and rgbt210."""
    compared = compare_figures(os.environ["RGBT_RESULTS"])
    assert len(compared) == 49 and max(item.difference for item in compared) < 1e-12
    for dataset, expected in STATIC.items():
        truths = read_ground_truths(dataset, Path(os.environ["RGBT_RESULTS"]) / dataset / "groundtruth")
        pairs = [(truth, np.repeat(truth.boxes[:1], len(truth.boxes), 0)) for truth in truths.values()]
        overall = score(PROTOCOLS[dataset], *zip(*pairs, strict=True)).overall
        assert overall == pytest.approx(expected, abs=6e-6), dataset
