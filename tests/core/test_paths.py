"""Where things lie: in a checkout, in an installed package, where the user says."""

from pathlib import Path

import pytest

from lib.core import paths
from lib.core.paths import PACKAGE, ROOT, local_files, typed_command

HOME = Path.home()


def test_a_checkout_has_its_local_files_inside():
    assert paths.IS_CHECKOUT and PACKAGE == ROOT / "lib"
    assert local_files({}) == {
        "train": PACKAGE / "train" / "admin" / "local.py",
        "test": PACKAGE / "test" / "evaluation" / "local.py",
    }


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, HOME / ".config" / "rgbt_toolbox"),
        ({"XDG_CONFIG_HOME": "/x"}, Path("/x/rgbt_toolbox")),
        ({"XDG_CONFIG_HOME": "/x", "RGBT_HOME": "~/mine"}, HOME / "mine"),
    ],
)
def test_an_installed_package_has_them_in_the_users_folder(monkeypatch, environment, folder):
    monkeypatch.setattr(paths, "IS_CHECKOUT", False)
    assert local_files(environment) == {kind: folder / f"local_{kind}.py" for kind in ("train", "test")}


def test_the_user_may_name_the_folder_in_a_checkout_too():
    assert local_files({"RGBT_HOME": "/h"})["test"] == Path("/h/local_test.py")


def test_commands_are_said_as_this_user_types_them(monkeypatch):
    monkeypatch.setattr("sys.argv", ["tracking/test.py"])
    assert typed_command("score", "analysis_results") == "python tracking/analysis_results.py"
    monkeypatch.setattr("sys.argv", ["/usr/bin/rgbt", "test"])
    assert typed_command("score", "analysis_results") == "rgbt score"
    monkeypatch.setattr("sys.argv", ["tracking/test.py"])
    monkeypatch.setattr(paths, "IS_CHECKOUT", False)
    assert typed_command("score", "analysis_results") == "rgbt score"
