"""LMDB stores: who may read them, what an interruption leaves, what is refused."""

import json
import multiprocessing
import os
import pickle
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from torch.utils.data import DataLoader

from lib.core.errors import InputError
from lib.datasets import store, store_writer
from lib.datasets.store import StoredFrames, image_key, read_about, read_value, verify_store
from lib.datasets.store_writer import fill_store, unfinished

ABOUT = {"content": "image files"}
NOBODY = 65534


def picture(value):
    return cv2.imencode(".png", np.full((6, 8, 3), value, np.uint8))[1].tobytes()


def fill(path, number=20, about=ABOUT, content=picture):
    """A store with frames of one sequence in both streams; returns the frames."""
    with fill_store(path, about) as writer:
        for stream in ("visible", "infrared"):
            for frame in range(number):
                writer.put(image_key("man2", stream, frame), content(frame + 100 * (stream == "infrared")))
        writer.complete(2 * number)
    return StoredFrames(path, "man2", range(number), ("visible", "infrared"))


def shown(frames):
    return [[int(image.mean()) for image in frames[index]] for index in range(len(frames))]


EXPECTED = [[frame, 100 + frame] for frame in range(20)]


def test_any_program_can_read_keys_values_and_what_the_store_says(tmp_path):
    fill(tmp_path / "a.lmdb")
    with lmdb.open(str(tmp_path / "a.lmdb"), subdir=False, lock=False, readonly=True) as found, found.begin() as view:
        content = {key.decode(): value for key, value in view.cursor()}
    assert json.loads(content.pop("__meta__")) == {"version": 1, "images": 40, **ABOUT}
    assert content.keys() == {f"man2/{stream}/{frame:06d}" for stream in "vi" for frame in range(20)}
    assert content["man2/i/000007"] == picture(107)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lmdb"], "no lock file"


def read_in_child(frames, results):
    results.put(shown(frames))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_process_opens_the_store_itself(tmp_path, method):
    frames = fill(tmp_path / "a.lmdb")
    assert shown(frames) == EXPECTED  # open in this process when the other one begins
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=read_in_child, args=(frames, results))
    child.start()
    assert results.get(timeout=60) == EXPECTED
    child.join()
    assert child.exitcode == 0 and shown(frames) == EXPECTED


def first_of(batch):
    return batch[0]


def test_loader_processes_and_threads_read_at_the_same_time(tmp_path):
    frames = fill(tmp_path / "a.lmdb", content=lambda value: picture(value) + bytes(9000))
    assert shown(frames) == EXPECTED
    loader = DataLoader(frames, num_workers=2, batch_size=1, collate_fn=first_of)
    assert [[int(image.mean()) for image in images] for images in loader] == EXPECTED
    with ThreadPoolExecutor(4) as pool:
        assert all(found == EXPECTED for found in pool.map(lambda _: shown(frames), range(12)))


def test_disk_that_cannot_be_written_can_be_read():
    """As a user who may not write there; a root user becomes another one for it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        frames = fill(Path(folder, "a.lmdb"))
        os.chmod(folder, 0o555)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                if os.getuid() == 0:
                    os.setuid(NOBODY)
                assert not os.access(folder, os.W_OK)
                status = int(shown(frames) != EXPECTED)
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.chmod(folder, 0o755)


def test_map_grows_and_leaves_no_sparse_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "FIRST_MAP", 1 << 16)
    monkeypatch.setattr(store_writer, "COMMIT_IMAGES", 7)
    contents = [np.random.default_rng(frame).bytes(50_000 + frame) for frame in range(120)]
    frames = fill(tmp_path / "a.lmdb", 60, content=lambda value: contents[value if value < 100 else value - 40])
    found = [frames.content(index) for index in range(60)]
    assert found == [[contents[index], contents[60 + index]] for index in range(60)]
    status = os.stat(tmp_path / "a.lmdb")
    assert sum(map(len, contents)) < status.st_size < 1.1 * sum(map(len, contents))
    assert status.st_blocks * 512 >= status.st_size


KILLED = """
import os, sys
from pathlib import Path
from lib.datasets import store_writer
store_writer.COMMIT_IMAGES = 10
with store_writer.fill_store(Path(sys.argv[1]), {"content": "image files"}) as writer:
    for frame in range(25):
        writer.put(f"s/v/{frame:06d}", b"first")
    os._exit(9)
"""


def test_killed_writer_keeps_what_it_committed_and_nobody_reads_it(tmp_path):
    path = tmp_path / "a.lmdb"
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", KILLED, path], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert ended.returncode == 9
    assert [one.name for one in tmp_path.iterdir()] == ["a.lmdb.partial"]
    with pytest.raises(InputError, match="a.lmdb: file does not exist"):
        read_about(path)
    with fill_store(path, ABOUT) as writer:
        there = [frame for frame in range(25) if writer.size(f"s/v/{frame:06d}") == 5]
        assert there == list(range(19))  # two commits of ten, the first with what the store says of itself
        for frame in range(19, 25):
            writer.put(f"s/v/{frame:06d}", b"second")
        writer.complete(25)
    assert [one.name for one in tmp_path.iterdir()] == ["a.lmdb"] and read_about(path)["images"] == 25
    assert [read_value(path, f"s/v/{frame:06d}") for frame in (18, 19)] == [b"first", b"second"]


def test_interrupted_writer_keeps_everything_that_it_was_given(tmp_path):
    with pytest.raises(KeyboardInterrupt), fill_store(tmp_path / "a.lmdb", ABOUT) as writer:
        writer.put("s/v/000000", b"")
        raise KeyboardInterrupt
    with fill_store(tmp_path / "a.lmdb", ABOUT) as writer:
        assert writer.size("s/v/000000") == 0 and writer.size("s/v/000001") is None


def test_store_with_other_images_than_expected_is_not_completed(tmp_path):
    with fill_store(tmp_path / "a.lmdb", ABOUT) as writer:
        writer.put("s/v/000000", b"1")
    with (
        pytest.raises(InputError, match=r"partial: holds 2 images instead of 1: the data set has changed"),
        fill_store(tmp_path / "a.lmdb", ABOUT) as writer,
    ):
        writer.put("t/v/000000", b"1")
        writer.complete(1)
    with pytest.raises(InputError, match="was begun by another command"), fill_store(tmp_path / "a.lmdb", {"step": 5}):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["a.lmdb.partial"]


def test_full_disk_is_one_line(tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from lib.core.errors import run; from lib.datasets.store_writer import fill_store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "def main():\n"
        "    with fill_store(Path(sys.argv[1]), {}) as writer:\n"
        "        writer.put('s/v/000000', bytes(3 << 20)); writer.complete(1)\n"
        "run(main)\n"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.lmdb"], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert "a.lmdb.partial: " in ended.stderr and "free some space" in ended.stderr


def foreign(folder):
    with lmdb.open(str(folder / "a.lmdb"), subdir=False, lock=False) as other, other.begin(write=True) as view:
        view.put(b"a", b"b")


def of_another_version(folder):
    fill(folder / "a.lmdb", about={"version": 7})


def without_an_image(folder):
    fill(folder / "a.lmdb")
    with lmdb.open(str(folder / "a.lmdb"), subdir=False, lock=False) as other, other.begin(write=True) as view:
        view.delete(b"man2/v/000003")


def text(folder):
    (folder / "a.lmdb").write_text("version https://git-lfs.github.com/spec/v1\n" * 200)


def nothing(folder):
    (folder / "a.lmdb").write_bytes(b"")


def directory(folder):
    (folder / "a.lmdb").mkdir()


def cut_short(folder):
    fill(folder / "a.lmdb", content=lambda value: bytes(20_000))
    with open(folder / "a.lmdb", "rb+") as file:
        file.truncate(400_000)


def zeroed(folder):
    fill(folder / "a.lmdb", content=lambda value: bytes(20_000))
    (folder / "a.lmdb").write_bytes(bytes((folder / "a.lmdb").stat().st_size))


def zeroed_behind_the_start(folder):
    fill(folder / "a.lmdb", content=lambda value: bytes(20_000))
    content = (folder / "a.lmdb").read_bytes()
    (folder / "a.lmdb").write_bytes(content[:8192] + bytes(len(content) - 8192))


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (foreign, "__meta__ is missing"),
        (of_another_version, "of another version"),
        (without_an_image, "lacks images"),
        (text, "is no LMDB store"),
        (nothing, "is no LMDB store"),
        (directory, "does not exist"),
        (cut_short, "is cut short"),
        (zeroed, "is no LMDB store"),
        (zeroed_behind_the_start, "MDB_"),
    ],
)
def test_what_is_no_store_is_one_line(tmp_path, prepare, expected):
    prepare(tmp_path)
    with pytest.raises(InputError, match=f"a.lmdb: .*{expected}") as caught:
        read_about(tmp_path / "a.lmdb")
    assert "make it again" in str(caught.value)


def test_image_that_is_missing_or_of_another_size_is_one_line(tmp_path):
    frames = fill(tmp_path / "a.lmdb")
    with pytest.raises(InputError, match="a.lmdb: man3/v/000004 is missing"):
        StoredFrames(frames.store, "man3", range(9), ("visible",))[4]
    sizes = np.array([[len(picture(frame)) for frame in range(20)]])
    assert len(StoredFrames(frames.store, "man2", range(20), ("visible",), sizes)[4]) == 1
    sizes[0, 4] += 1
    with pytest.raises(InputError, match=r"man2/v/000004 has \d+ bytes instead of"):
        StoredFrames(frames.store, "man2", range(20), ("visible",), sizes)[4]


def test_headers_with_any_wrong_byte_end_no_process(tmp_path):
    """LMDB divides by numbers from these pages and maps as much as they say; in a process of its own."""
    frames = fill(tmp_path / "a.lmdb", number=4)
    whole, path = (tmp_path / "a.lmdb").read_bytes(), tmp_path / "b.lmdb"
    page = int.from_bytes(whole[40:44], sys.byteorder)
    damaged = StoredFrames(path, "man2", frames.numbers, frames.modalities)
    pid = os.fork()
    if not pid:
        status, refused = 1, 0
        try:
            for place in [*range(8, 160), *range(page + 8, page + 160)]:
                for value in (0, 255):
                    (tmp_path / "last").write_text(f"byte {place} = {value}")
                    path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
                    try:
                        read_about(path)
                        shown(damaged)
                    except InputError:
                        refused += 1
            status = int(refused < 20)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, (tmp_path / "last").read_text()


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    frames = fill(tmp_path / "a.lmdb")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    for use in (lambda: frames[0], lambda: read_about(frames.store), lambda: fill(tmp_path / "b.lmdb")):
        with pytest.raises(InputError, match=r"[ab].lmdb.*: .*pip install -U lmdb \(the extra \[lmdb\]\)"):
            use()
    assert [one.name for one in tmp_path.iterdir()] == ["a.lmdb"]


def test_store_that_was_written_anew_is_read_anew(tmp_path):
    frames = fill(tmp_path / "a.lmdb")
    assert shown(frames) == EXPECTED
    (tmp_path / "a.lmdb").unlink()
    again = fill(tmp_path / "a.lmdb", content=lambda value: picture(value + 1))
    assert read_about(again.store)["images"] == 40
    assert shown(pickle.loads(pickle.dumps(frames)))[0] == [1, 101]


def test_names_longer_than_keys_can_be_are_refused(tmp_path):
    with pytest.raises(InputError, match="longer than a store can hold"), fill_store(tmp_path / "a.lmdb", {}) as writer:
        writer.put(image_key("ä" * 252, "visible", 0), b"1")


def test_finished_file_belongs_to_the_user_as_others_do(tmp_path):
    fill(tmp_path / "a.lmdb")
    (tmp_path / "b").write_text("")
    assert stat.S_IMODE((tmp_path / "a.lmdb").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)
    assert store.VERSION == 1


def damage(path, place, value):
    with open(path, "rb+") as file:
        file.seek(place)
        file.write(value)


def pages(path, kinds):
    """Places of the pages of these kinds (LMDB 0.9: 1 branch, 2 leaf, 4 a value's first), which are 4 kB."""
    content = path.read_bytes()
    found = [place for place in range(0, len(content), 4096) if content[place + 10] in kinds and place > 4096]
    return [place for place in found if int.from_bytes(content[place : place + 8], sys.byteorder) == place // 4096]


def test_whole_store_is_verified_and_read_alike(tmp_path):
    frames = fill(tmp_path / "a.lmdb", 60, content=lambda value: picture(value) + bytes(9000))
    verify_store(tmp_path / "a.lmdb")
    assert shown(frames)[7] == [7, 107]


KEYS, VALUES = (1, 2), (4,)


@pytest.mark.parametrize(("kinds", "place"), [(KEYS, 0), (KEYS, 10), (KEYS, 12), (KEYS, 16), (VALUES, 0), (VALUES, 10)])
def test_damaged_page_is_one_line_wherever_it_is(tmp_path, kinds, place):
    path = tmp_path / "a.lmdb"
    fill(path, 60, content=lambda value: picture(value) + bytes(9000))
    for page in pages(path, kinds)[-2:]:  # the first ones may be out of use
        before = path.read_bytes()
        damage(path, page + place, b"\xff\xff")
        with pytest.raises(InputError, match="a.lmdb: is damaged .*; remove it and make it again") as raised:
            verify_store(path)
        assert "\n" not in str(raised.value)
        path.write_bytes(before)


def test_any_damage_is_one_line_or_leaves_a_store_that_can_be_read(tmp_path):
    """Bytes changed at random in the pages of keys; what passes is read in a process that no signal may end."""
    path, rng = tmp_path / "a.lmdb", np.random.default_rng(0)
    frames = fill(path, 60, content=lambda value: picture(value) + bytes(9000))
    whole, places = path.read_bytes(), pages(path, (1, 2))
    refused, passed = 0, []
    for number in range(40):
        content = bytearray(whole)
        for page in rng.choice([0, 4096, *places], 2):
            content[page + int(rng.integers(4096))] ^= 1 << int(rng.integers(8))
        place = tmp_path / f"{number}.lmdb"
        place.write_bytes(content)
        try:
            verify_store(place)
            passed.append(StoredFrames(place, "man2", frames.numbers, frames.modalities))
        except InputError as error:
            assert str(error).startswith(f"{place}: ")
            refused += 1
    assert refused > 10
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map_async(read_or_refuse, passed).get(timeout=60)


def read_or_refuse(frames):
    for index in range(len(frames)):
        try:
            frames.content(index)
        except InputError:
            continue


def test_damaged_unfinished_store_does_not_go_on(tmp_path):
    path = tmp_path / "a.lmdb"
    with pytest.raises(KeyboardInterrupt), fill_store(path, ABOUT) as writer:
        for frame in range(60):
            writer.put(image_key("man2", "visible", frame), picture(frame) + bytes(9000))
        raise KeyboardInterrupt
    damage(unfinished(path), pages(unfinished(path), (1, 2))[-1], b"\xff")
    with pytest.raises(InputError, match="a.lmdb.partial: is damaged .*; remove it"), fill_store(path, ABOUT):
        pass
