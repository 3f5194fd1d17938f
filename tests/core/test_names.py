"""Names that lead to other folders."""

import pytest
from compare import message_of

from lib.core.names import check_distinct, check_name, ignores_case


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "", "a/../b", "/x", "a//b", "..\\x", "C:x", "a\nb", "a\0b", " .. "]
)
def test_names_that_lead_elsewhere_are_refused(name):
    assert "cannot be the name of a file" in message_of(check_name, name, "sequence")


@pytest.mark.parametrize(
    "name", ["a", "leftgirl'swhitebag", "trial 1/walk", "..a", "a..", "ünïcode", "$x$", "=cmd|a", "-1"]
)
def test_other_names_stay(name):
    assert check_name(name, "sequence") == name


@pytest.fixture
def caseless(tmp_path):
    """A folder that is found by its name in other case, too."""
    folder = tmp_path / "Out"
    folder.mkdir()
    if not (tmp_path / "oUT").exists():
        (tmp_path / "oUT").symlink_to(folder)
    return folder


def test_whether_a_file_system_ignores_case(tmp_path, caseless):
    here = (tmp_path / "CASELESS").mkdir() or (tmp_path / "caseless").exists()
    (tmp_path / "other").mkdir()
    assert ignores_case(tmp_path / "other") is ignores_case(tmp_path / "new" / "1") is here
    assert ignores_case(caseless) and ignores_case(caseless / "1" / "new")
    (tmp_path / "a").mkdir()
    (tmp_path / "A").mkdir(exist_ok=True)
    assert ignores_case(tmp_path / "a") is here


@pytest.mark.parametrize(
    "names", [["Walk", "run", "walk"], ["stra\u00dfe", "STRASSE"], ["caf\u00e9", "cafe\u0301"], ["a/X", "A/x"]]
)
def test_names_that_are_one_where_case_is_ignored(tmp_path, caseless, names):
    assert "would be one file in" in (message := message_of(check_distinct, names, caseless)) and "\n" not in message
    check_distinct(["walk", "Run", "walk"], caseless)
    if not ignores_case(tmp_path / "new"):
        check_distinct(names, tmp_path / "new")
