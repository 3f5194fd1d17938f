"""The VOT adapter against a stand-in for the package `trax`: what the toolkit sends and what it gets."""

import configparser
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import micro
import numpy as np
import pytest
from fake_model import fake_tracker, follow_alone, follow_together, moving_sequence

from lib.cli import vot
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.core.target import Target
from lib.datasets.readers.vot import polygons_to_boxes
from lib.datasets.sequence import Sequence
from lib.models import build_method
from lib.test.evaluation import open as evaluation
from lib.test.evaluation.vot import TIMEOUT, add_to_workspace, import_trax, read_frame_image, serve
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.refined import Refined
from lib.test.tracker.refiner import CropRefiner
from lib.test.video.video import write_image


class Region(SimpleNamespace):
    """A rectangle, a polygon or a mask of TraX."""

    RECTANGLE, POLYGON, MASK = "rectangle", "polygon", "mask"

    def bounds(self):
        return tuple(self.numbers)

    def size(self):
        return len(self.numbers) // 2

    def get(self, place):
        return tuple(self.numbers[2 * place : 2 * place + 2])

    def offset(self):
        return tuple(self.numbers)

    def array(self):
        return self.pixels


def rectangle(*numbers):
    assert all(type(number) is float for number in numbers), "the C library takes plain floats"
    return Region(type=Region.RECTANGLE, numbers=numbers)


def mask(pixels):
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous, "the C library copies the bytes"
    return Region(type=Region.MASK, pixels=pixels, numbers=(0, 0))


def polygon(corners):
    assert all(type(number) is float for corner in corners for number in corner)
    return Region(type=Region.POLYGON, numbers=[number for corner in corners for number in corner])


class FakeTrax(ModuleType):
    """Plays the given requests to the tracker, then ends the session or breaks."""

    Region, Rectangle, Mask = Region, SimpleNamespace(create=rectangle), SimpleNamespace(create=mask)
    Polygon = SimpleNamespace(create=polygon)
    Image = SimpleNamespace(PATH="path")
    TraxStatus = SimpleNamespace(INITIALIZE="initialize", FRAME="frame", QUIT="quit")

    class TraxException(Exception):
        pass

    def __init__(self, requests=(), breaks=False):
        super().__init__("trax")
        self.requests, self.breaks = list(requests), breaks
        self.answers, self.reasons, self.offer = [], [], None

    def Server(self, regions, images, channels, name, multiobject):
        self.offer = (regions, images, channels, name, multiobject)
        return self

    def wait(self):
        if self.requests:
            return self.requests.pop(0)
        if self.breaks:
            raise self.TraxException("Unknown")
        return SimpleNamespace(type="quit", image=None, objects=None)

    def status(self, objects):
        self.answers.append(objects)

    def quit(self, reason=None):
        self.reasons.append(reason)


def request(kind: str, folder: Path, index: int, *regions: Region) -> SimpleNamespace:
    paths = {channel: folder / f"{channel}{index:08d}.png" for channel in ("color", "ir")}
    images = {channel: SimpleNamespace(path=lambda path=path: str(path)) for channel, path in paths.items()}
    return SimpleNamespace(type=kind, image=images, objects=[(region, {}) for region in regions] or None)


def play(folder: Path, sequence: Sequence, *, starts: dict[int, list[Region]]) -> list[SimpleNamespace]:
    """The requests of one video; starts: frame -> regions of the targets that appear there."""
    for index in range(len(sequence)):
        for channel, image in zip(("color", "ir"), sequence.frames[index], strict=False):
            write_image(folder / f"{channel}{index:08d}.png", image)
    return [
        request("frame" if index else "initialize", folder, index, *starts.get(index, ()))
        for index in range(len(sequence))
    ]


def small_refiner(*changes: str) -> CropRefiner:
    method = build_method(micro.model("alpha_refine"), micro.config("alpha_refine", *changes))
    return CropRefiner(CropTracker(method, "cpu"), method)


def boxes(answer) -> np.ndarray:
    return np.array([region.numbers for region, _ in answer])


def test_boxes_and_confidences_are_the_trackers_own(tmp_path):
    sequence = moving_sequence("a", length=5)
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(*sequence.boxes[0].tolist())]}))
    serve(fake_tracker(), trax, ("color", "ir"), name="ours")
    assert trax.offer == (["rectangle", "polygon", "mask"], ["path"], ["color", "ir"], "ours", True)
    np.testing.assert_array_equal([boxes(answer)[0] for answer in trax.answers], follow_alone(fake_tracker(), sequence))
    assert [answer[0][1]["confidence"] for answer in trax.answers] == pytest.approx([1] + [0.9] * 4)
    assert trax.reasons == []


def test_every_initialisation_begins_anew(tmp_path):
    videos = [moving_sequence("a", length=3), moving_sequence("b", length=4, step=(-4, 2), colour=(9, 9, 240) * 2)]
    requests = [
        entry
        for video in videos
        for entry in play(tmp_path / video.name, video, starts={0: [rectangle(*video.boxes[0].tolist())]})
    ]
    trax = FakeTrax(requests)
    serve(fake_tracker(), trax, ("color", "ir"))
    expected = [box for video in videos for box in follow_alone(fake_tracker(), video)]
    np.testing.assert_array_equal([boxes(answer)[0] for answer in trax.answers], expected)


def test_targets_that_appear_later_come_after_the_first_ones(tmp_path):
    sequence = moving_sequence("a", length=4)
    first, later = rectangle(*sequence.boxes[0].tolist()), rectangle(*(sequence.boxes[2] + [4, 2, -6, -4]).tolist())
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [first, first], 2: [later]}))
    serve(fake_tracker(), trax, ("color", "ir"))
    assert [len(answer) for answer in trax.answers] == [2, 2, 3, 3]
    np.testing.assert_array_equal(boxes(trax.answers[2])[2], later.numbers)
    both = follow_together(fake_tracker(), [sequence, sequence])
    np.testing.assert_array_equal(boxes(trax.answers[3])[:2], [row[3] for row in both])
    np.testing.assert_allclose(boxes(trax.answers[3])[2], sequence.boxes[3], atol=1)


def test_polygons_start_from_the_box_that_the_reader_gives(tmp_path):
    sequence = moving_sequence("a", length=1)
    corners = [60.0, 60, 75, 50, 90, 60, 75, 72]
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [Region(type=Region.POLYGON, numbers=corners)]}))
    serve(fake_tracker(), trax, ("color", "ir"))
    np.testing.assert_array_equal(boxes(trax.answers[0]), polygons_to_boxes(np.array([corners])))


def test_masks_start_from_the_box_around_their_pixels(tmp_path):
    sequence, pixels = moving_sequence("a", length=1), np.zeros((25, 40), np.uint8)
    pixels[3:23, 5] = pixels[4, 5:35] = 1
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [Region(type=Region.MASK, numbers=(55, 47), pixels=pixels)]}))
    serve(fake_tracker(), trax, ("color", "ir"))
    np.testing.assert_array_equal(boxes(trax.answers[0]), [[60, 50, 30, 20]])
    nothing = Region(type=Region.MASK, numbers=(0, 0), pixels=0 * pixels)
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [nothing]}))
    with pytest.raises(InputError, match="has no area"):
        serve(fake_tracker(), trax, ("color", "ir"))


def test_rotated_boxes_are_sent_as_polygons(tmp_path):
    """Of SiamMask with a box that fits its mask; the first box is the toolkit's own."""
    sequence = moving_sequence("a", length=3)
    for source, kind in (("area", Region.POLYGON), ("proposal", Region.RECTANGLE)):
        tracker = micro.tracker("siammask", f"TEST.BOX={source}", "TEST.MASK=false")
        trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(*sequence.boxes[0].tolist())]}))
        serve(tracker, trax, ("color",))
        (target,) = tracker.start([sequence.frames[0][:1]], [sequence.boxes[0]])
        assert trax.answers[0][0][0].type == Region.RECTANGLE
        for index in (1, 2):
            (target,) = tracker.track([target], [sequence.frames[index][:1]])
            region = trax.answers[index][0][0]
            expected = target.box if target.corners is None else target.corners.ravel()
            assert region.type == kind and region.numbers == pytest.approx(expected.tolist(), abs=1e-3)


def test_masks_are_sent_where_a_threshold_says_so(tmp_path):
    """As the scripts of Alpha-Refine for VOT2020: the base tracker is left alone, its box is segmented."""
    refiner = small_refiner("TEST.BOX=base", "TEST.MASK=true")
    sequence = moving_sequence("a", length=3)
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(*sequence.boxes[0].tolist())]}))
    serve(Refined(fake_tracker(), refiner), trax, ("color", "ir"), threshold=0.48)
    plain = follow_alone(fake_tracker(), sequence)
    for index, answer in enumerate(trax.answers):
        ((region, properties),) = answer
        frame = Frame([sequence.frames[index][0]], (180, 240))
        target = Target("a", plain[index])
        (memory,) = refiner.begin([Frame([sequence.frames[0][0]], (180, 240))], [Target("a", sequence.boxes[0])])
        (expected,) = refiner.segment([memory], [frame], [target])
        np.testing.assert_array_equal(region.pixels, expected.in_frame((180, 240)) > 0.48)
        assert properties["confidence"] == pytest.approx(0.9 if index else 1)
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(*sequence.boxes[0].tolist())]}))
    serve(fake_tracker(), trax, ("color", "ir"), threshold=0.5)
    assert not trax.answers[0][0][0].pixels.any(), "a target without a mask"


def test_polygon_of_any_number_of_corners():
    square, triangle = np.array([[0.0, 0, 4, 0, 4, 4, 0, 4]]), np.array([[0.0, 0, 4, 0, 2, 3]])
    np.testing.assert_allclose(polygons_to_boxes(square), [[0, 0, 4, 4]])
    size = np.array([4, 3]) / 2**0.5  # half the area of its hull
    np.testing.assert_allclose(polygons_to_boxes(triangle), [[*([2, 1] - size / 2), *size]])
    assert polygons_to_boxes(np.zeros((0, 8))).shape == (0, 4)


def test_one_channel_stands_in_for_two(tmp_path):
    sequence = moving_sequence("a", length=3, modalities=("visible",))
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(*sequence.boxes[0].tolist())]}))
    serve(fake_tracker(), trax, ("color",))
    np.testing.assert_allclose([boxes(answer)[0] for answer in trax.answers], sequence.boxes, atol=1)


def test_the_toolkit_hears_the_reason_of_a_failure(tmp_path):
    sequence = moving_sequence("a", length=2)
    trax = FakeTrax(play(tmp_path, sequence, starts={0: [rectangle(500.0, 500.0, 9.0, 9.0)]}))
    with pytest.raises(InputError, match="object 0: first box .* lies outside its 240x180 image"):
        serve(fake_tracker(), trax, ("color", "ir"))
    assert len(trax.reasons) == 1 and "lies outside" in trax.reasons[0]


def test_broken_connection_is_one_line():
    trax = FakeTrax(breaks=True)
    with pytest.raises(InputError, match="connection to the VOT toolkit broke: Unknown"):
        serve(fake_tracker(), trax, ("color", "ir"))
    assert trax.reasons == []


def test_missing_package_and_another_of_its_name(monkeypatch):
    for module in (None, ModuleType("trax")):
        monkeypatch.setitem(sys.modules, "trax", module)
        with pytest.raises(InputError, match='-m pip install "vot-trax>=4"'):
            import_trax()
    monkeypatch.setitem(sys.modules, "trax", trax := FakeTrax())
    assert import_trax() is trax


def test_entries_are_added_and_never_changed(tmp_path):
    path = tmp_path / "trackers.ini"
    path.write_text("; mine\n[other]\nprotocol = trax\ncommand = run 100%%")
    command = ["/opt/my python", "/x/vot_tracker.py", "--set", "TEST.EPOCH=50%"]
    assert add_to_workspace(tmp_path, "ours-1", "ours, 50%", command) == path
    assert path.read_text().startswith("; mine\n[other]\nprotocol = trax\ncommand = run 100%%\n\n[ours-1]\n")
    read = configparser.ConfigParser()  # as the toolkit reads it
    read.read(path)
    assert shlex.split(read["ours-1"]["command"]) == command
    assert dict(read["ours-1"]) | {"command": ""} == {
        "label": "ours, 50%", "protocol": "trax", "command": "", "timeout": str(TIMEOUT)
    }  # fmt: skip
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"\[ours-1\] is there already"):
        add_to_workspace(tmp_path, "ours-1", "", command)
    with pytest.raises(InputError, match="letters, digits"):
        add_to_workspace(tmp_path, "ours 2", "", command)
    assert path.read_bytes() == before


def test_unusable_workspaces(tmp_path):
    with pytest.raises(InputError, match="vot initialize vot2020/rgbtir --workspace"):
        add_to_workspace(tmp_path / "none", "ours", "", ["x"])
    (tmp_path / "trackers.ini").write_text("command = of nobody\n")
    with pytest.raises(InputError, match="no section headers.*correct the file"):
        add_to_workspace(tmp_path, "ours", "", ["x"])


@pytest.fixture
def command(monkeypatch):
    """Runs tracking/vot_tracker.py in this process with a network that needs no weights."""
    served = []
    monkeypatch.setattr(evaluation, "load_tracker", lambda cfg, checkpoint, device, mode: fake_tracker(device))
    monkeypatch.setattr(
        vot, "serve", lambda tracker, trax, channels, name, threshold: served.append((channels, name, threshold))
    )
    monkeypatch.setitem(sys.modules, "trax", FakeTrax())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["vot_tracker.py", *map(str, arguments)])
        vot.main()
        return served

    return run


def test_registered_command_is_whole(command, tmp_path, monkeypatch, capsys):
    (tmp_path / "w.safetensors").write_bytes(b"")
    (tmp_path / "v1.5.yaml").write_text("TEST: {EPOCH: 3}\n")
    monkeypatch.chdir(tmp_path)
    options = ("--checkpoint", "w.safetensors", "--backend", "onnxruntime", "--channels", "color")
    options += ("--set", "TEST.SEARCH_FACTOR=4.0")
    command("--register", ".", "iimf_track", "v1.5.yaml", *options)
    read = configparser.ConfigParser()
    read.read(tmp_path / "trackers.ini")
    words = shlex.split(read["iimf_track_v1_5"]["command"])
    assert words[0] == sys.executable and Path(words[1]).is_file() and Path(words[1]).is_absolute()
    assert words[2:] == [
        "iimf_track", str(tmp_path / "v1.5.yaml"), "--checkpoint", str(tmp_path / "w.safetensors"),
        "--device", "auto", "--backend", "onnxruntime", "--channels", "color", "--set", "TEST.SEARCH_FACTOR=4.0",
    ]  # fmt: skip
    assert "vot evaluate --workspace . iimf_track_v1_5" in capsys.readouterr().out
    with pytest.raises(InputError, match="checkpoint does not exist"):
        command("--register", ".", "iimf_track", "tiny", "--checkpoint", "none.pth")


def test_channels_are_those_of_the_network_or_the_named_ones(command):
    options = ("iimf_track", "tiny", "--checkpoint", "x", "--device", "cpu")
    command(*options)
    command(*options, "--channels", "color", "--name", "ours")
    assert command(*options, "--channels", "ir", "color") == [
        (["color", "ir"], "iimf_track_tiny", None), (["color"], "ours", None),
        (["color", "ir"], "iimf_track_tiny", None),
    ]  # fmt: skip


def test_an_entry_names_the_refiner_with_its_weights(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("w.safetensors", "r.safetensors"):
        (tmp_path / name).write_bytes(b"")
    options = ["iimf_track", "tiny", "--checkpoint", "w.safetensors", "--device", "cpu"]
    refine = ["--refine", "alpha_refine/secm_r34", "--refine_checkpoint", "r.safetensors"]
    more = ["--refine_set", "TEST.BOX=base", "--masks", "--mask_threshold", "0.65"]
    command("--register", ".", *options, *refine, *more)
    read = configparser.ConfigParser()
    read.read(tmp_path / "trackers.ini")
    words = shlex.split(read["iimf_track_tiny_secm_r34"]["command"])
    refine[-1] = str(tmp_path / "r.safetensors")
    assert words[words.index("--refine") :] == [*refine, *more]
    with pytest.raises(InputError, match="alpha_refine/sec_r34 has no mask head"):
        command("--register", ".", *options, "--refine", "alpha_refine/sec_r34", *refine[2:], "--masks")


def test_started_by_hand_it_says_who_should(command, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.delenv("TRAX_SOCKET", raising=False)
    with pytest.raises(InputError, match="--register WORKSPACE"):
        command("iimf_track", "tiny", "--checkpoint", "x")


def test_a_16_bit_video_of_the_toolkit_has_one_range(tmp_path):
    frames = [np.full((8, 8), 29000 + 100 * index, np.uint16) for index in range(3)]
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{index:08d}.png"), frame)
    assert [int(read_frame_image(path)[0, 0, 0]) for path in sorted(tmp_path.iterdir())] == [0, 128, 255]
