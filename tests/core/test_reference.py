"""The page of configuration keys says what the files say."""

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


def test_rows_say_whose_they_are(tmp_path):
    for name, text in (("one", ONE), ("two", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defaults.yaml").write_text(text)
    lines = write_reference(tmp_path).splitlines()
    assert "| `MODEL.DEPTH` | `0` | [0, 200] | blocks; 0: as a\\|b says | all |" in lines
    assert "| `MODEL.NAME` | `one` | {one} | the network | one |" in lines
    assert "| `MODEL.NAME` | `two` | {two} | the network | two |" in lines
    assert "| `TRAIN.LR` | `0.1` (one); `0.2` (two) | (0, 10] | learning rate | all |" in lines
    assert "| `TRAIN.STEP` | `2` | [1, 9] multiple of MODEL.DEPTH, as blocks go | steps | all |" in lines
    assert "Accepted and unread: `MODEL.OLD`." in lines
