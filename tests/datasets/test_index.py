"""The index of annotations: quick at the second start, and never wrong."""

import os

import numpy as np
import pytest
from trees import put_images

from lib.core.errors import InputError
from lib.datasets import annotation, index, load_dataset

ROWS = "1.5,2,3,4\n2,3,4,nan\n3,4,5,6\n"


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """TrackingNet's layout with three videos of an hour ago; the index lies in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "MIN_FILES", 2)
    monkeypatch.setattr(index, "SETTLED", -(10**12))  # a file's change time cannot be set back
    root = tmp_path / "trackingnet"
    (root / "TRAIN_0" / "anno").mkdir(parents=True)
    for name in "abc":
        put_images(root / "TRAIN_0" / "frames" / name, ["0.jpg", "1.jpg", "2.jpg"])
        (root / "TRAIN_0" / "anno" / f"{name}.txt").write_text(ROWS.replace("1.5", str(ord(name))))
    return root


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that are parsed."""
    names, real = [], annotation.parse_numbers

    def parse(path, lines, columns):
        names.append(path.name)
        return real(path, lines, columns)

    monkeypatch.setattr(annotation, "parse_numbers", parse)
    return names


def load(root, **options):
    return load_dataset("trackingnet_train", {"trackingnet_dir": str(root)}, **options)


def equal(first, second):
    return all(np.array_equal(a.boxes, b.boxes, equal_nan=True) for a, b in zip(first, second, strict=True))


def test_second_start_parses_nothing_and_gives_the_same(videos, parsed):
    first = load(videos)
    assert parsed == ["a.txt", "b.txt", "c.txt"]
    second = load(videos)
    assert len(parsed) == 3 and equal(first, second) and second[1].boxes[0, 0] == ord("b")
    assert [len(sequence) for sequence in second] == [3, 3, 3] and np.isnan(second[0].boxes[1, 3])
    load(videos, indexed=False)
    assert len(parsed) == 6


def test_what_changed_is_read_again_and_the_rest_is_not(videos, parsed):
    load(videos)
    path = videos / "TRAIN_0" / "anno" / "b.txt"
    status = path.stat()
    path.write_text(path.read_text().replace("98", "97"))  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # and as old: its change time gives it away
    (videos / "TRAIN_0" / "anno" / "c.txt").unlink()
    del parsed[:]
    again = load(videos)
    assert parsed == ["b.txt"] and [sequence.boxes[0, 0] for sequence in again] == [97, 97]
    del parsed[:]
    assert equal(load(videos), again) and parsed == []


@pytest.mark.parametrize("damage", ["values", "short", "empty", "index", "place", "version", "gone"])
def test_damaged_index_is_not_believed(videos, parsed, tmp_path, damage):
    first = load(videos)
    folder = next((tmp_path / "cache" / "rgbt_tracking" / "index").iterdir())
    values, listing = next(folder.glob("values-*.npy")), folder / "index.json"
    if damage == "values":
        content = bytearray(values.read_bytes())
        content[-3] ^= 1
        values.write_bytes(content)
    elif damage == "short":
        values.write_bytes(values.read_bytes()[:-8])
    elif damage == "empty":
        values.write_bytes(b"")
    elif damage == "index":
        listing.write_text(listing.read_text()[:-20])
    elif damage == "place":
        listing.write_text(listing.read_text().replace("], 12, 3, 4]", "], 0, 3, 4]"))
    elif damage == "version":
        listing.write_text(listing.read_text().replace('"version": 1', '"version": 0'))
    else:
        values.unlink()
    del parsed[:]
    assert equal(load(videos), first) and len(parsed) == 3
    assert equal(load(videos), first) and len(parsed) == 3  # written anew


def test_files_that_just_changed_are_not_remembered(videos, parsed, monkeypatch):
    monkeypatch.setattr(index, "SETTLED", 10**12)
    load(videos)
    load(videos)
    assert len(parsed) == 6


def test_cache_that_cannot_be_written_and_wrong_files(videos, parsed, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load(videos)) == 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load(videos)
    (videos / "TRAIN_0" / "anno" / "a.txt").write_text("1,2,x,4\n")
    with pytest.raises(InputError, match="a.txt: line 1"):
        load(videos)


def test_two_places_of_one_set_are_kept_apart(videos, parsed, tmp_path):
    load(videos)
    videos.rename(tmp_path / "moved")
    load(tmp_path / "moved")
    assert len(parsed) == 6 and len(list((tmp_path / "cache" / "rgbt_tracking" / "index").iterdir())) == 2
