"""Targets that leave and come back: what counts as a return, as followed and as found."""

from pathlib import Path

import numpy as np
import pytest

from lib.cli import recovery
from lib.core.errors import InputError
from lib.datasets.sequence import FileFrames, Sequence
from lib.test.analysis.recovery import TrackedSequence, find_returns, score_quantiles
from lib.test.results.files import write_result

ROOT = Path(__file__).parents[3]
HERE, GONE, ELSEWHERE = (10, 10, 20, 20), (0, 0, 0, 0), (100, 100, 20, 20)


def track(truth, found, scores=None):
    """Rows of h (here), - (gone or, of a result, elsewhere)."""
    boxes = np.array([HERE if letter == "h" else GONE for letter in truth], float)
    result = np.array([HERE if letter == "h" else ELSEWHERE for letter in found], float)
    return TrackedSequence(boxes, result, np.linspace(1, 0, len(truth)) if scores is None else np.array(scores, float))


def test_absences_that_end_are_returns():
    one = find_returns(track("hhhhh" + "-" * 5 + "hhhhh", "hhhhh" + "-" * 6 + "hhhh"))
    assert [(back.followed, back.found, back.before) for back in one] == [(True, True, 1.0)]
    assert one[0].after == pytest.approx(0.8)
    assert find_returns(track("hhhhh" + "-" * 4 + "hhhhh", "h" * 14)) == []  # too short an absence
    assert find_returns(track("hhhhh" + "-" * 9, "h" * 14)) == []  # it never came back
    two = find_returns(track("hh------hh------hh", "--------hh--------"))
    assert [(back.followed, back.found) for back in two] == [(False, True), (True, False)]


def test_scores_are_told_apart_by_what_they_are_given_for():
    quantiles = score_quantiles([track("hhhh--", "hh--hh", [9, 1, 2, 3, 4, 5])])
    assert quantiles["followed"][2] == 1 and quantiles["missed"][2] == 2.5 and quantiles["absent"][2] == 4.5
    assert set(score_quantiles([track("hh", "hh")])) == {"followed"}


def test_command_compares_configurations(tmp_path, monkeypatch, capsys):
    truth = track("hhh" + "-" * 6 + "hhh", "h" * 12)
    sequence = Sequence("a", FileFrames(((Path("x"),) * 12,)), truth.truth)
    monkeypatch.setattr(recovery, "named_sequences", lambda *words: [sequence])
    for config, found in (("short", "hhh---------"), ("long", "hhh------hhh")):
        result = track("h" * 12, found)
        confidence = np.column_stack([result.scores, np.ones(12)])
        write_result(tmp_path / "dasiamrpn" / config, "a", result.boxes, np.ones(12), confidence)
    words = ["recovery.py", "dasiamrpn", "short", "long", "--dataset_name", "x", "--results_dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    recovery.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["short", "1", "1", "1.000", "0.000", "0.000"] in lines and [
        "long",
        "1",
        "1",
        "1.000",
        "1.000",
        "1.000",
    ] in lines
    monkeypatch.setattr("sys.argv", [*words[:2], "none", *words[4:]])
    with pytest.raises(InputError, match="a_confidence.txt: does not exist; run python tracking/test.py first"):
        recovery.main()
