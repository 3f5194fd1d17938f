"""Messages of readers name the file in which a folder was set, or the option."""

import pytest

from lib.core.errors import InputError
from lib.core.paths import SOURCE
from lib.datasets import folders_of, load_dataset
from lib.datasets.source import naming_source


@pytest.mark.parametrize("name", ["gtot", "lasher_test", "lasot", "got10k_val", "coco17", "trackingnet"])
def test_message_names_the_file_by_its_path_or_the_option(tmp_path, name):
    local = {key: str(tmp_path) for key in ("gtot_dir", "lasher_dir", "lasot_dir", "got10k_dir", "coco_dir")}
    with pytest.raises(InputError, match=r"set \w+_dir in /home/me/local_train\.py$"):
        load_dataset(name, folders_of(name, None, lambda: local | {SOURCE: "/home/me/local_train.py"}))
    with pytest.raises(InputError) as raised:
        load_dataset(name, folders_of(name, str(tmp_path), dict))
    assert str(raised.value).endswith("correct --data_dir") and "local" not in str(raised.value)


def test_paths_that_hold_the_name_stay_as_they_are():
    with pytest.raises(InputError, match=r"^/a/local\.py: x; of /b/local\.py$"), naming_source({SOURCE: "/b/local.py"}):
        raise InputError("/a/local.py: x; of local.py")
