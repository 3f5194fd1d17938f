"""The page of configuration keys says what the files say."""

import re

from lib.core.key_reference import COMMAND, REFERENCE, write_reference

ONE = """
MODEL:
  NAME: "one"        # {one} the network
  DEPTH: 0           # [0, 200] blocks; 0: as a|b says
  OLD: false         # unread: nothing reads it
TRAIN:
  LR: 0.1            # (0, 10] learning rate
  STEP: 2            # [1, 9] multiple of MODEL.DEPTH, as blocks go: steps
"""
TWO = ONE.replace('"one"', '"two"').replace("{one}", "{two}").replace("LR: 0.1", "LR: 0.2")


def test_the_page_is_not_stale():
    assert REFERENCE.read_text(encoding="utf-8") == write_reference(), f"defaults.yaml changed; run: {COMMAND}"


def test_entries_say_whose_they_are(tmp_path):
    for name, text in (("one", ONE), ("two", TWO), ("three", "OTHER:\n  KEY: 1  # [0, 2] alone\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defaults.yaml").write_text(text)
    entries = "\n" + write_reference(tmp_path)
    assert "\n- `MODEL.DEPTH` · `0` · [0, 200] · all but three\\\n  blocks; 0: as a|b says\n" in entries
    assert "\n- `MODEL.NAME` · `one` · {one} · one\\\n  the network\n" in entries
    assert "\n- `MODEL.NAME` · `two` · {two} · two\\\n  the network\n" in entries
    assert "\n- `TRAIN.LR` · `0.1` (one); `0.2` (two) · (0, 10] · all but three\\\n  learning rate\n" in entries
    assert (
        "\n- `TRAIN.STEP` · `2` · [1, 9] multiple of MODEL.DEPTH, as blocks go · all but three\\\n  steps\n" in entries
    )
    assert "\n- `OTHER.KEY` · `1` · [0, 2] · three\\\n  alone\n" in entries
    assert "\nAccepted and unread: `MODEL.OLD`.\n" in entries
    (tmp_path / "three" / "defaults.yaml").unlink()
    assert "- `MODEL.DEPTH` · `0` · [0, 200]\\\n" in write_reference(tmp_path), "all have it"


def test_no_wrapped_line_begins_another_list():
    for line in write_reference().splitlines():
        assert not re.match(r" +([-+*]|\d+[.)]) ", line), line
