import importlib.util
import logging
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence

from lib.core.errors import InputError
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.test.demo import draw_box_by_mouse, fresh_folder, make_film, parse_box
from lib.test.draw import GREEN, Mark, draw_frame
from lib.test.results import read_result
from lib.test.video import VideoFrames, frame_rate, open_frames, open_sequence, write_image, write_video


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
    path = Path(__file__).parents[1] / "tracking" / "video_demo.py"
    spec = importlib.util.spec_from_file_location("video_demo", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "load_tracker", lambda cfg, checkpoint, device: fake_tracker(device))
    monkeypatch.setattr(module, "load_config", lambda *arguments: None)

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
        module.main()

    return run


def test_sequence_starts_from_its_own_box_and_is_scored(demo, sequence_folder, tmp_path, capsys):
    demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    names = {"tracking.mp4", "contact_sheet.png", "boxes.txt", "boxes_time.txt"}
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
    assert caplog.text.count("only the first 7 are used") == 1
    np.testing.assert_allclose(read_result(tmp_path / "out" / "boxes.txt"), sequence.boxes[:7], atol=2.5)
    assert frame_rate(VideoFrames(tmp_path / "out" / "tracking.mp4")) == 30


def test_visible_alone(demo, sequence_folder, tmp_path):
    demo("--visible", sequence_folder / "visible", "--box", "60,50,30,20", "--output", tmp_path)
    np.testing.assert_allclose(read_result(tmp_path / "boxes.txt"), moving_sequence("", 9).boxes, atol=1.0)


def test_existing_output_is_kept(demo, sequence_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for _ in range(2):
        demo("--sequence", sequence_folder, "--output", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    assert (tmp_path / "out_2" / "tracking.mp4").is_file() and (tmp_path / "out_3" / "tracking.mp4").is_file()
    assert fresh_folder(tmp_path / "new") == tmp_path / "new" == fresh_folder(tmp_path / "new")


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "10,10,0,5", "10,10,5,nan", "1;2;3;4"])
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
        (("--visible", "nowhere.mp4"), "nowhere.mp4: no such folder or video file"),
        (("--sequence", "nowhere"), "nowhere: folder does not exist"),
        (("--fps", "0"), "--fps 0"),
    ],
)
def test_wrong_input_is_one_line(demo, arguments, message):
    with pytest.raises(InputError, match=message):
        demo(*arguments)


def test_box_outside_the_image_names_the_video(demo, sequence_folder, tmp_path):
    with pytest.raises(InputError, match="whitecar: first box .* lies outside its 240x180 image"):
        demo("--sequence", sequence_folder, "--box", "500,500,20,20", "--output", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


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


def test_videos_of_different_size_are_one_line(tmp_path):
    for name, shape in (("v", (60, 80, 3)), ("i", (30, 40, 3))):
        write_image(tmp_path / name / "0.png", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="v is 80x60, .*i is 40x30; register"):
        open_frames(tmp_path / "v", tmp_path / "i")


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


def test_film_of_a_short_sequence(tmp_path):
    sequence = moving_sequence("two", length=2)
    film = make_film(fake_tracker(), sequence, sequence.boxes[0], tmp_path, 25.0)
    assert film.boxes.shape == (2, 4)
    assert (tmp_path / "contact_sheet.png").is_file()
