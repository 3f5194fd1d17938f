"""Names that lead to other folders."""

import pytest
from compare import message_of

from lib.core.names import check_name


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
