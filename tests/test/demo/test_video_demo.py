import logging
import pickle
import shutil

import cv2
import micro
import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence
from killed import killed_at
from test_homography import camera, corner_error, scene

from lib.cli import track
from lib.core.checkpoint import save_weights
from lib.core.errors import InputError
from lib.core.frame import GREY_COPY, NO_INFRARED
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.test.demo.boxes import first_boxes, parse_box
from lib.test.demo.video_run import DemoVideo, VideoOptions, fresh_folder, track_video
from lib.test.demo.window import draw_box_by_mouse
from lib.test.evaluation import open as evaluation
from lib.test.results.files import read_result
from lib.test.video.draw import GREEN, ORANGE, Mark, colour_of, draw_frame, overlay_heat, overlay_mask
from lib.test.video.homography import read_homography
from lib.test.video.pairing import HalfFrames, open_frames, open_sequence
from lib.test.video.video import VideoFrames, frame_rate, write_image, write_video


@pytest.fixture(scope="module")
def sequence_folder(tmp_path_factory):
    """A LasHeR-layout sequence of nine frames."""
    folder = tmp_path_factory.mktemp("data") / "whitecar"
    sequence = moving_sequence("whitecar", length=9)
    for index in range(len(sequence)):
        for modality, image in zip((VISIBLE, INFRARED), sequence.frames[index], strict=True):
            write_image(folder / modality / f"{modality[0]}{index:06d}.png", image)
    for name in ("visible.txt", "infrared.txt", "init.txt"):
        np.savetxt(folder / name, sequence.boxes, fmt="%d", delimiter=",")
    return folder


@pytest.fixture
def demo(monkeypatch):
    """Runs tracking/video_demo.py in this process with a network that needs no weights."""
    monkeypatch.setattr(evaluation, "load_tracker", lambda cfg, checkpoint, device, mode: fake_tracker(device))

    def run(*arguments):
        command = [
            "video_demo.py",
            "iimf_track",
            "tiny",
            "--checkpoint",
            "none",
            "--device",
            "cpu",
            *map(str, arguments),
        ]
        monkeypatch.setattr("sys.argv", command)
        track.main()

    return run


def test_sequence_starts_from_its_own_box_and_is_scored(demo, sequence_folder, tmp_path, capsys):
    demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    names = {"tracking.mp4", "contact_sheet.png", "tracks.csv", "boxes.txt", "boxes_time.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    np.testing.assert_allclose(read_result(tmp_path / "out" / "boxes.txt"), moving_sequence("", 9).boxes, atol=1.0)
    printed = capsys.readouterr().out
    assert "PR 100.0" in printed and "SR 9" in printed and str(tmp_path / "out") in printed


def test_written_video_plays_and_shows_both_modalities(demo, sequence_folder, tmp_path):
    demo("--sequence", sequence_folder, "--output", tmp_path, "--fps", "10")
    video = VideoFrames(tmp_path / "tracking.mp4")
    assert len(video) == 9 and frame_rate(video) == 10
    picture = video[8][0]
    assert picture.shape[1] == 2 * 480 + 4 and picture.shape[0] > 360
    x, y = ((100 + 15) * 2, (74 + 10) * 2)  # middle of the target, drawn at twice its size
    np.testing.assert_allclose(picture[y, x], [200, 60, 30], atol=25)
    np.testing.assert_allclose(picture[y, x + 484], [250, 250, 250], atol=25)


def test_two_folders_with_a_box(demo, sequence_folder, tmp_path, capsys):
    pair = "--visible", sequence_folder / "visible", "--infrared", sequence_folder / "infrared"
    demo(*pair, "--box", "60,50,30,20", "--output", tmp_path)
    np.testing.assert_allclose(read_result(tmp_path / "boxes.txt"), moving_sequence("", 9).boxes, atol=1.0)
    assert "annotation" not in capsys.readouterr().out


def test_two_videos_of_different_length(demo, tmp_path, caplog):
    sequence = moving_sequence("film", length=9)
    for number, (name, length) in enumerate((("visible", 9), ("infrared", 7))):
        with write_video(tmp_path / f"{name}.mp4", 30.0) as append:
            for index in range(length):
                append(sequence.frames[index][number])
    with caplog.at_level(logging.WARNING):
        pair = "--visible", tmp_path / "visible.mp4", "--infrared", tmp_path / "infrared.mp4"
        demo(*pair, "--box", "60,50,30,20", "--output", tmp_path / "out")
    assert "has 9 frames" in caplog.text and caplog.text.count("only the first 7 of the visible and 7 of the") == 1
    np.testing.assert_allclose(read_result(tmp_path / "out" / "boxes.txt"), sequence.boxes[:7], atol=2.5)
    assert frame_rate(VideoFrames(tmp_path / "out" / "tracking.mp4")) == 30


def test_visible_alone(demo, sequence_folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="lib.test.demo"):
        demo("--visible", sequence_folder / "visible", "--box", "60,50,30,20", "--output", tmp_path)
    np.testing.assert_allclose(read_result(tmp_path / "boxes.txt"), moving_sequence("", 9).boxes, atol=1.0)
    assert caplog.messages == [f"visible: {NO_INFRARED[GREY_COPY]}"]


def test_existing_output_is_kept(demo, sequence_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for _ in range(2):
        demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    assert (tmp_path / "out_2" / "tracking.mp4").is_file() and (tmp_path / "out_3" / "tracking.mp4").is_file()
    assert fresh_folder(tmp_path / "new") == tmp_path / "new" == fresh_folder(tmp_path / "new")


def test_a_run_that_fails_leaves_no_folder(demo, sequence_folder, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise InputError("no room")

    monkeypatch.setattr("lib.cli.track.track_video", fail)
    with pytest.raises(InputError, match="no room"):
        demo("--sequence", sequence_folder, "--output", tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_run_that_is_killed_leaves_its_folder_to_the_next_one(demo, sequence_folder, tmp_path):
    with killed_at(2):
        demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    assert not (tmp_path / "out" / "tracking.mp4").exists()
    demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "boxes.txt", "boxes_time.txt", "contact_sheet.png", "tracking.mp4", "tracks.csv",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "10,10,0,5", "10,10,5,nan", "1;2;3;4"])
def test_malformed_box_is_one_line(demo, sequence_folder, text):
    with pytest.raises(InputError, match="expected x,y,w,h in pixels") as error:
        demo("--sequence", sequence_folder, f"--box={text}")
    assert "\n" not in str(error.value)
    assert parse_box("1, 2.5,3,4").tolist() == [1, 2.5, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --sequence"),
        (("--sequence", "a", "--visible", "b"), "give either --sequence"),
        (("--sequence", "a", "--infrared", "b"), "--infrared goes with --visible"),
        (("--visible", "a", "--register", "h.txt"), "--register goes with"),
        (("--visible", "0", "--infrared", "b.mp4"), "a camera and a recording cannot be paired"),
        (("--visible", "0", "--modality", "visible"), "--modality is for recordings"),
        (("--sequence", "a", "--box", "1,2,3,4", "--boxes", "b"), "not both"),
        (("--sequence", "a", "--targets", "0"), "--targets 0"),
        (("--sequence", "a", "--frames", "0"), "--max_frames 0"),
        (("--side_by_side", "nowhere.mp4"), "nowhere.mp4: no such folder or video file"),
        (("--visible", "nowhere.mp4"), "nowhere.mp4: no such folder or video file"),
        (("--sequence", "nowhere"), "nowhere: folder does not exist"),
        (("--fps", "0"), "--fps 0"),
    ],
)
def test_wrong_input_is_one_line(demo, arguments, message):
    with pytest.raises(InputError, match=message):
        demo(*arguments)


def test_box_outside_the_image_names_the_video(demo, sequence_folder, tmp_path):
    with pytest.raises(InputError, match="whitecar, target 1: first box .* lies outside its 240x180 image"):
        demo("--sequence", sequence_folder, "--box", "500,500,20,20", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_box_and_no_screen(demo, sequence_folder, tmp_path, monkeypatch):
    shutil.copytree(sequence_folder / "visible", tmp_path / "bare" / "visible")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="no screen to select a target on; give .* --box x,y,w,h"):
        demo("--sequence", tmp_path / "bare")


def test_box_drawn_by_mouse(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "selectROI", lambda *arguments, **options: (4, 5, 6, 7))
    monkeypatch.setattr(cv2, "destroyWindow", lambda title: None)
    image = np.zeros((20, 20, 3), np.uint8)
    assert draw_box_by_mouse(image).tolist() == [4, 5, 6, 7]
    monkeypatch.setattr(cv2, "selectROI", lambda *arguments, **options: (0, 0, 0, 0))
    with pytest.raises(InputError, match="no box was drawn"):
        draw_box_by_mouse(image)


def put_pair(folder, sizes, marks=((0, 0, 0, 0), (0, 0, 0, 0))):
    """Folders v and i with one image each, (height, width), with a white rectangle xywh."""
    for name, size, (x, y, w, h) in zip("vi", sizes, marks, strict=True):
        image = np.zeros((*size, 3), np.uint8)
        image[y : y + h, x : x + w] = 255
        write_image(folder / name / "0.png", image)
    return folder / "v", folder / "i"


def test_cameras_of_different_resolution_are_scaled_and_said(tmp_path, caplog):
    pair = put_pair(tmp_path, ((120, 160), (60, 80)), ((40, 20, 40, 30), (20, 10, 20, 15)))
    with caplog.at_level(logging.WARNING):
        visible, infrared = open_frames(*pair)[0]
    assert "v is 160x120" in caplog.text and "i is 80x60: infrared is scaled" in caplog.text
    assert infrared.shape == visible.shape and ((infrared > 127) == (visible > 127)).mean() > 0.995


def test_cameras_of_different_shape_need_a_registration(tmp_path):
    pair = put_pair(tmp_path, ((90, 160), (60, 80)), ((40, 20, 40, 30), (10, 10, 20, 15)))
    with pytest.raises(InputError, match="v is 160x90, .*i is 80x60: different aspect ratios.* --register"):
        open_frames(*pair)
    (tmp_path / "h.txt").write_text("2 0 20  0 2 0  0 0 1")
    visible, infrared = open_frames(*pair, register=tmp_path / "h.txt")[0]
    assert infrared.shape == visible.shape and ((infrared > 127) == (visible > 127)).mean() > 0.98


def test_estimated_registration_is_kept_for_the_next_time(demo, tmp_path):
    true, (visible, infrared) = camera(1.3, 2, (6, -4)), scene(3)
    write_image(tmp_path / "v" / "0.png", visible)
    write_image(tmp_path / "i" / "0.png", cv2.warpPerspective(infrared, np.linalg.inv(true), (240, 200)))
    pair = "--visible", tmp_path / "v", "--infrared", tmp_path / "i", "--box", "60,50,30,20"
    demo(*pair, "--register", "estimate", "--output", tmp_path / "first")
    found = tmp_path / "first" / "homography.txt"
    assert corner_error(read_homography(found), true) < 2.5
    demo(*pair, "--register", found, "--output", tmp_path / "second")
    pictures = [VideoFrames(tmp_path / name / "tracking.mp4")[0][0] for name in ("first", "second")]
    np.testing.assert_array_equal(*pictures)


def film(path, levels, rate):
    with write_video(path, rate) as append:
        for level in levels:
            append(np.full((64, 64, 3), level, np.uint8))
    return path


def test_different_frame_rates_are_paired_by_time(tmp_path, caplog):
    fast = film(tmp_path / "fast.mp4", range(0, 240, 10), 24.0)
    slow = film(tmp_path / "slow.mp4", range(0, 240, 30), 8.0)
    with caplog.at_level(logging.WARNING):
        frames = open_frames(fast, slow)
    assert "fast.mp4 runs at 24 frames/s" in caplog.text and "slow.mp4 at 8: each visible frame" in caplog.text
    assert "are used" not in caplog.text and len(frames) == 23  # the last infrared frame is the nearest to two
    pairs = [[round(image.mean() / 10) for image in frames[index]] for index in range(len(frames))]
    assert [second for _, second in pairs] == [3 * round(first / 3) for first, _ in pairs]


def test_frames_of_a_slow_camera_are_decoded_once(tmp_path):
    video = VideoFrames(film(tmp_path / "film.mp4", range(0, 200, 20), 8.0))
    first = video[3][0]
    video._capture = None
    assert video[3][0] is first


@pytest.mark.parametrize("order", ["visible-left", "visible-right", "visible-top", "visible-bottom"])
def test_side_by_side_recording(demo, tmp_path, order):
    sequence, axis = moving_sequence("both", length=6), int(order in ("visible-left", "visible-right"))
    with write_video(tmp_path / "both.mp4", 12.0) as append:
        for index in range(6):
            halves = sequence.frames[index]
            append(np.concatenate(halves if order in ("visible-left", "visible-top") else halves[::-1], axis=axis))
    demo(
        "--side_by_side", tmp_path / "both.mp4", "--order", order, "--box", "60,50,30,20", "--output", tmp_path / "out"
    )
    np.testing.assert_allclose(read_result(tmp_path / "out" / "boxes.txt"), sequence.boxes, atol=2.5)
    assert frame_rate(VideoFrames(tmp_path / "out" / "tracking.mp4")) == 12


def test_an_odd_width_loses_its_middle():
    class Wide:
        def __getitem__(self, index):
            return [np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)]

    left, right = HalfFrames(Wide())[0]
    assert left[0, :, 0].tolist() == [0, 3] and right[0, :, 0].tolist() == [9, 12]


def read_tracks(folder):
    """Rows of tracks.csv as frame, target, box, lost, given."""
    lines = (folder / "tracks.csv").read_text().splitlines()
    assert lines[0] == "frame,target,x,y,w,h,score,lost,given"
    rows = [[float(field) for field in line.split(",")] for line in lines[1:]]
    return [(int(r[0]), int(r[1]), r[2:6], bool(r[7]), bool(r[8])) for r in rows]


def test_streams_by_address(demo, tmp_path):
    """Through OpenCV's own capture: the newest pictures of two streams, until one of them ends."""
    sequence = moving_sequence("stream", length=2)
    for side, name in enumerate(("visible", "infrared")):
        with write_video(tmp_path / f"{name}.mp4", 50.0) as append:
            for _ in range(40):
                append(sequence.frames[0][side])
    pair = "--visible", f"file://{tmp_path}/visible.mp4", "--infrared", f"file://{tmp_path}/infrared.mp4"
    demo(*pair, "--box", "60,50,30,20", "--output", tmp_path / "out")
    rows = read_tracks(tmp_path / "out")
    assert rows[0][2] == [60, 50, 30, 20] and len(rows) <= 40
    np.testing.assert_allclose([row[2] for row in rows], [sequence.boxes[0]] * len(rows), atol=2.5)


def test_several_targets(demo, sequence_folder, tmp_path):
    demo("--sequence", sequence_folder, "--box", "60,50,30,20", "--box", "62,52,20,15", "--output", tmp_path)
    rows = read_tracks(tmp_path)
    assert [row[:2] for row in rows] == [(frame, target) for frame in range(1, 10) for target in (1, 2)]
    truth = moving_sequence("", 9).boxes
    for frame, _, box, lost, given in rows:
        assert not lost and given == (frame == 1)
        assert frame == 1 or np.allclose(box, truth[frame - 1], atol=1.5)
    assert not (tmp_path / "boxes.txt").exists()


def test_boxes_of_a_file_start_and_correct_targets(demo, sequence_folder, tmp_path):
    (tmp_path / "given.txt").write_text(
        "# a late start, a correction, a second target\n2, 65,53,30,20\n5 1 70 60 10 10\n4 2 75 59 30 20\n"
    )
    demo("--sequence", sequence_folder, "--boxes", tmp_path / "given.txt", "--output", tmp_path / "out")
    rows = read_tracks(tmp_path / "out")
    assert [row[0] for row in rows if row[1] == 1] == list(range(2, 10))
    assert [row[0] for row in rows if row[1] == 2] == list(range(4, 10))
    assert [row[:2] for row in rows if row[4]] == [(2, 1), (4, 2), (5, 1)]
    assert next(row[2] for row in rows if row[:2] == (5, 1)) == [70, 60, 10, 10]


def test_boxes_after_the_last_frame_are_refused_before_tracking(demo, sequence_folder, tmp_path):
    (tmp_path / "given.txt").write_text("10 1 70 60 10 10\n")
    for more in ((), ("--frames", "3")):
        with pytest.raises(InputError, match=r"frames are tracked, but the first box is for frame 10"):
            demo("--sequence", sequence_folder, "--boxes", tmp_path / "given.txt", "--output", tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()


def test_low_scores_are_shown_as_lost(demo, sequence_folder, tmp_path, capsys):
    demo("--sequence", sequence_folder, "--lost_below", "0.95", "--output", tmp_path)
    assert [row[3] for row in read_tracks(tmp_path)] == [False] + [True] * 8  # what a person gave is not lost
    assert "lost in 8 of 9 boxes" in capsys.readouterr().out


def test_a_dashed_box_shows_half_of_its_colour():
    image, box = np.zeros((400, 400, 3), np.uint8), np.array([50, 50, 200, 200])
    whole, dashed = (
        (draw_frame([image], [Mark(box, dashed=dashed)]) == ORANGE).all(-1).sum() for dashed in (False, True)
    )
    assert 0.3 * whole < dashed < 0.7 * whole


def test_stops_after_so_many_frames(demo, sequence_folder, tmp_path, capsys):
    demo("--sequence", sequence_folder, "--frames", "4", "--output", tmp_path)
    assert len(VideoFrames(tmp_path / "tracking.mp4")) == 4
    assert "stopped after 4 of 9 frames" in capsys.readouterr().out


def test_interrupted_run_keeps_the_frames_until_then(tmp_path):
    sequence = moving_sequence("stopped", length=9)

    def interrupt(index):
        if index == 3:
            raise KeyboardInterrupt

    video = DemoVideo.from_sequence(sequence, 25.0)
    made = track_video(
        fake_tracker(), video, tmp_path, VideoOptions(first_boxes(sequence.boxes[:1])), on_frame=interrupt
    )
    assert len(made.seconds) == 4 == len(VideoFrames(tmp_path / "tracking.mp4"))
    np.testing.assert_allclose(read_result(tmp_path / "boxes.txt"), sequence.boxes[:4], atol=1.0)


def test_heat_lies_where_its_region_is():
    scores = np.zeros((8, 8))
    scores[2, 5] = 1.0
    image = np.full((120, 160, 3), 90, np.uint8)
    heated = overlay_heat(image, scores, np.array([40.0, 20.0, 80.0, 80.0]))
    change = np.abs(heated.astype(int) - image).sum(-1)
    rows, columns = np.nonzero(change > 0.5 * change.max())
    assert abs(rows.mean() - (20 + 2.5 * 10 - 0.5)) < 1.5 and abs(columns.mean() - (40 + 5.5 * 10 - 0.5)) < 1.5
    assert not change[:, :40].any()


def test_a_mask_is_coloured_and_outlined():
    image, mask = np.full((120, 160, 3), 90, np.uint8), np.zeros((120, 160), np.float32)
    mask[30:60, 40:90] = 0.8
    shown = overlay_mask(image, mask, colour_of(1))
    np.testing.assert_allclose(shown[45, 60], 0.6 * 90 + 0.4 * np.array(ORANGE), atol=1)
    changed = np.abs(shown.astype(int) - image).sum(-1) > 0
    assert changed[30:60, 40:90].all() and not changed[:25].any() and not changed[:, 100:].any()
    assert shown[30, 60, 0] > shown[45, 60, 0] + 50


def test_masks_of_a_refiner_are_drawn(demo, sequence_folder, tmp_path):
    save_weights(tmp_path / "r.safetensors", micro.model("alpha_refine").state_dict(), {})
    small = [change for change in micro.VARIANTS["alpha_refine"][2] if "PRETRAIN" not in change]
    refine = ["--refine", "alpha_refine/secm_r34", "--refine_checkpoint", tmp_path / "r.safetensors"]
    refine += ["--refine_set", *small]
    pictures = []
    for name, more in (("base", ["TEST.BOX=base"]), ("again", ["TEST.BOX=base", "MODEL.MASK=false"])):
        if name == "again":  # the same without a mask head
            weights = micro.model("alpha_refine-corners").state_dict()
            save_weights(tmp_path / "r.safetensors", weights, {})
        demo("--sequence", sequence_folder, "--output", tmp_path / name, "--frames", 2, *refine, *more)
        pictures.append(VideoFrames(tmp_path / name / "tracking.mp4")[1][0].astype(int))
    assert (tmp_path / "base" / "boxes.txt").read_text() == (tmp_path / "again" / "boxes.txt").read_text()
    assert (np.abs(pictures[0] - pictures[1]).sum(-1) > 60).mean() > 0.01


def test_masks_of_a_tracker_are_drawn(sequence_folder, tmp_path, monkeypatch):
    """SiamMask's: the command asks for them, and they change no box."""
    save_weights(tmp_path / "w.safetensors", micro.model("siammask").state_dict(), {})
    small = [change for change in micro.VARIANTS["siammask"][2] if "TEST.MASK" not in change and "''" not in change]
    command = ["siammask", "siammask_r50_l3", "--checkpoint", tmp_path / "w.safetensors", "--device", "cpu",
               "--sequence", sequence_folder, "--max_frames", 3, "--set", *small]  # fmt: skip
    pictures = []
    for name in ("with", "without"):
        monkeypatch.setattr(evaluation, "_MASKS", f"TEST.MASK={str(name == 'with').lower()}")
        track.main([*map(str, command), "TEST.MASK_THRESHOLD=0.5", "--out", str(tmp_path / name)])
        pictures.append(VideoFrames(tmp_path / name / "tracking.mp4")[2][0].astype(int))
    assert (tmp_path / "with" / "boxes.txt").read_text() == (tmp_path / "without" / "boxes.txt").read_text()
    assert (np.abs(pictures[0] - pictures[1]).sum(-1) > 60).mean() > 0.01


def test_file_that_is_no_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(InputError, match="notes.mp4: cannot be read as a video"):
        open_frames(tmp_path / "notes.mp4")


def test_video_frames_in_any_order_and_after_pickling(tmp_path):
    with write_video(tmp_path / "grey.mp4", 25.0) as append:
        for level in range(0, 250, 50):
            append(np.full((64, 64, 3), level, np.uint8))
    video = VideoFrames(tmp_path / "grey.mp4")
    for frames in (video, pickle.loads(pickle.dumps(video))):
        assert [round(frames[index][0].mean() / 50) for index in (3, 0, 4, 1, 1)] == [3, 0, 4, 1, 1]


def test_interrupted_video_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), write_video(tmp_path / "half.mp4", 25.0) as append:
        append(np.zeros((64, 64, 3), np.uint8))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_sequence_without_annotation_has_no_boxes(sequence_folder, tmp_path):
    shutil.copytree(sequence_folder / "visible", tmp_path / "bare" / "visible")
    sequence = open_sequence(tmp_path / "bare")
    assert sequence.boxes.shape == (0, 4) and len(sequence) == 9 and sequence.name == "bare"


@pytest.mark.parametrize("side", [(45, 60), (270, 361), (2160, 3840)])
def test_drawing_is_legible_at_any_size(side):
    images = [np.zeros((*side, 3), np.uint8)] * 2
    box = np.array([0.25 * side[1], 0.25 * side[0], 0.5 * side[1], 0.5 * side[0]])
    picture = draw_frame(images, [Mark(box, "0.87", GREEN)], ["visible", "infrared"])
    assert 360 <= picture.shape[0] <= 1200
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    for half in (left, right):
        assert (half == GREEN).all(-1).sum() > 500
    assert not images[0].any()


def test_result_of_a_short_sequence(tmp_path):
    sequence = moving_sequence("two", length=2)
    options = VideoOptions(first_boxes(sequence.boxes[:1]))
    made = track_video(fake_tracker(), DemoVideo.from_sequence(sequence, 25.0), tmp_path, options)
    assert len(made.rows) == 2
    assert (tmp_path / "contact_sheet.png").is_file()
