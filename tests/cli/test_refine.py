"""`--refine` of `rgbt test`, and `rgbt refine`: results, records and masks, with a small refiner."""

import functools

import cv2
import micro
import numpy as np
import pytest
import yaml
from fake_model import fake_tracker, follow_alone, moving_sequence

from lib.cli import refine, score
from lib.cli import test as test_command
from lib.cli.refine_options import masks_of
from lib.core.checkpoint import save_weights
from lib.core.errors import InputError
from lib.core.paths import ROOT
from lib.models import build_method
from lib.test.analysis import sources
from lib.test.evaluation import open as evaluation
from lib.test.results.dialect import read_result
from lib.test.results.files import write_result
from lib.test.results.masks import MaskWriter, decode_mask, encode_mask
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.refined import Refined
from lib.test.tracker.refiner import CropRefiner
from lib.test.tracker.replay import Replay
from lib.test.video.video import write_image

SEQUENCES = {name: moving_sequence(name, length, (4, 2)) for name, length in {"a": 4, "b": 3}.items()}
SMALL = [change for change in micro.VARIANTS["alpha_refine"][2] if "PRETRAIN" not in change]
BASE = ["iimf_track", "tiny", "--device", "cpu", "--checkpoint", "base.pth", "--dataset_name", "folder"]
SIZE = (180, 240)


@functools.cache
def network():
    return micro.model("alpha_refine")


def refined(base, *changes):
    method = build_method(network(), micro.config("alpha_refine", *changes))
    return Refined(base, CropRefiner(CropTracker(method, "cpu"), method))


@pytest.fixture
def data(tmp_path):
    """Sequences on disk."""
    for name, sequence in SEQUENCES.items():
        for index in range(len(sequence)):
            for folder, image in zip(("visible", "infrared"), sequence.frames[index], strict=True):
                write_image(tmp_path / "data" / name / folder / f"{index:06d}.png", image)
        for file in ("visible.txt", "infrared.txt"):
            np.savetxt(tmp_path / "data" / name / file, sequence.boxes, fmt="%d", delimiter=",")
    return tmp_path / "data"


@pytest.fixture
def weights(tmp_path):
    """A small refiner's file, and the options that name it."""
    path = tmp_path / "refiner.safetensors"
    save_weights(path, network().state_dict(), {})
    (tmp_path / "base.pth").write_bytes(b"of a tracker that needs none")
    return ["--refine", "alpha_refine/secm_r34", "--refine_checkpoint", path, "--refine_set", *SMALL]


@pytest.fixture
def tracked(monkeypatch, tmp_path, data):
    """Runs tracking/test.py in this process with a base network that needs no weights."""
    local = {"save_dir": str(tmp_path / "save"), "results_dir": str(tmp_path / "results"), "lasher_dir": ""}
    load = evaluation.load_tracker

    def load_base(cfg, checkpoint, device, mode):
        return load(cfg, checkpoint, device, mode) if cfg.MODEL.NAME == "alpha_refine" else fake_tracker(device)

    monkeypatch.setattr(evaluation, "load_tracker", load_base)
    for module in (test_command, evaluation, sources, score, refine):
        monkeypatch.setattr(module, "read_local", lambda kind: local)
    monkeypatch.chdir(tmp_path)

    def run(*more, base=BASE):
        test_command.main([*base, "--data_dir", str(data), *map(str, more)])
        return tmp_path / "results" / base[0]

    return run


def test_results_behind_a_refiner_have_a_folder_and_a_record_of_their_own(tracked, weights, capsys):
    folder = tracked(*weights, "--batch", 2)
    assert [path.name for path in folder.iterdir()] == ["tiny_refined_secm_r34"]
    results = folder / "tiny_refined_secm_r34"
    for name, sequence in SEQUENCES.items():
        expected = follow_alone(refined(fake_tracker()), sequence)
        np.testing.assert_allclose(read_result(results / f"{name}.txt"), expected, atol=1e-3)
    record = (results / "config.yaml").read_text()
    assert "refiner.safetensors, sha256" in record and "# refiner: alpha_refine/secm_r34, settings sha256" in record
    assert "NUM_CHANNELS: 16" in (results / "refiner.yaml").read_text()
    tracked(*weights)  # everything is there already
    assert "nothing was left to do" in capsys.readouterr().out
    with pytest.raises(InputError, match="made with refiner: alpha_refine/secm_r34, settings"):
        tracked(*weights, "TEST.ROUNDS=2")


def test_results_with_and_without_a_refiner_never_mix(tracked, weights, tmp_path):
    out = tmp_path / "mine"
    tracked("--out", out)
    with pytest.raises(InputError, match="made with (refiner: none|checkpoint: base.pth|TEST.REFINER: , )"):
        tracked("--out", out, "--set", "TEST.REFINER=alpha_refine/secm_r34", *weights[2:])
    (plain,) = (out / "iimf_track").iterdir()
    assert plain.name == "tiny" and not (plain / "refiner.yaml").exists()


def test_the_configuration_names_a_refiner_and_the_command_line_none(tracked, weights, tmp_path):
    named = ["--set", "TEST.REFINER=alpha_refine/secm_r34"]
    folder = tracked(*named, *weights[2:], "--out", tmp_path / "a")
    other = tracked(*named, "--refine", "none", "--out", tmp_path / "b")
    found = [read_result(tmp_path / letter / "iimf_track" / "tiny" / "a.txt") for letter in "ab"]
    np.testing.assert_allclose(found[0], follow_alone(refined(fake_tracker()), SEQUENCES["a"]), atol=1e-3)
    np.testing.assert_allclose(found[1], follow_alone(fake_tracker(), SEQUENCES["a"]), atol=1e-3)
    assert folder == other


def test_the_refiner_alone_is_a_tracker(tracked, weights, tmp_path):
    base = ["alpha_refine", "secm_r34", *BASE[2:4], "--checkpoint", str(weights[3]), *BASE[6:]]
    folder = tracked("--masks", "rle", "--set", *SMALL, base=base) / "secm_r34"
    boxes = read_result(folder / "a.txt")
    assert np.ptp(boxes, axis=0).min() > 0 and len((folder / "masks" / "a.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize("form", ["png", "rle"])
def test_masks_are_those_of_the_refiner(tracked, weights, form):
    folder = tracked(*weights, "--masks", form, "--mask_threshold", 0.45) / "tiny_refined_secm_r34"
    tracker, sequence = refined(fake_tracker(), "TEST.MASK=true"), SEQUENCES["a"]
    targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["a"])
    for index in range(4):
        if index:
            targets = tracker.track(targets, [sequence.frames[index]])
        expected = targets[0].mask.in_frame(SIZE) > 0.45
        if form == "png":
            found = cv2.imread(str(folder / "masks" / "a" / f"{index + 1:08d}.png"), cv2.IMREAD_UNCHANGED)
            assert set(np.unique(found)) <= {0, 255}
        else:
            found = decode_mask((folder / "masks" / "a.txt").read_text().splitlines()[index], SIZE)
        assert (found.astype(bool) == expected).mean() > 0.999
    assert not list((folder / "masks").glob("*.part"))
    with pytest.raises(InputError, match=f"made with masks: {form}, above 0.45, this run has {form}, above 0.6"):
        tracked(*weights, "--masks", form, "--mask_threshold", 0.6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--refine", "secm_r34"], "expected folder/configuration, for example alpha_refine/secm_r34"),
        (["--refine", "alpha_refine/secm_34", "--refine_checkpoint", "x"], "did you mean secm_r34"),
        (["--refine", "fear/xs", "--refine_checkpoint", "base.pth"], "does not refine boxes"),
        (["--refine", "alpha_refine/secm_r34"], "no checkpoint of epoch 40"),
        (["--masks"], "iimf_track/tiny makes no masks; add --refine"),
    ],
)
def test_mistakes_are_one_line(tracked, weights, options, said):
    with pytest.raises(InputError) as caught:
        tracked(*options)
    assert said in str(caught.value)


def test_a_tracker_with_masks_of_its_own_needs_no_refiner():
    for tracker, config in (("siammask", "siammask_r50_l3"), ("alpha_refine", "secm_r34")):
        run = evaluation.open_run(tracker, config, checkpoint="x", device="cpu", refine=evaluation.Refine(masks=True))
        assert run.cfg.TEST.MASK and masks_of(run) is run


def test_a_threshold_is_a_probability(tracked, weights):
    with pytest.raises(InputError, match="--mask_threshold 1.5: expected a probability"):
        tracked(*weights, "--masks", "--mask_threshold", 1.5)


@pytest.fixture
def results(tmp_path):
    """Anybody's results, with a lost frame and confidences."""
    rng, folder = np.random.default_rng(0), tmp_path / "theirs"
    for name, sequence in SEQUENCES.items():
        boxes = np.round(sequence.boxes + rng.uniform(-4, 4, sequence.boxes.shape), 2)
        write_result(folder, name, boxes, np.ones(len(boxes)), np.tile([0.7, 1.0], (len(boxes), 1)))
    lines = (folder / "a.txt").read_text().splitlines()
    lines[2] = "nan nan nan nan"
    (folder / "a.txt").write_text("\n".join(lines) + "\n")
    return folder


def run_refine(results, data, weights, *more):
    refine.main([str(results), *map(str, weights[:4]), "--refine_set", *SMALL, "--dataset_name", "folder",
                 "--data_dir", str(data), "--device", "cpu", *map(str, more)])  # fmt: skip
    return results.parent / "theirs_refined_secm_r34"


@pytest.mark.parametrize(("form", "writer"), [("png", "cv2.imencode"), ("rle", "lib.test.results.masks.encode_mask")])
def test_a_failure_leaves_no_unfinished_masks(results, data, weights, monkeypatch, form, writer):
    places = iter(range(100))
    write = functools.reduce(getattr, writer.split(".")[1:], __import__(writer.split(".")[0]))

    def fail_late(*arguments):
        if next(places) == 5:  # in the second sequence
            raise OSError(28, "No space left on device")
        return write(*arguments)

    monkeypatch.setattr(writer, fail_late)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        run_refine(results, data, weights, "--masks", form)
    folder = results.parent / "theirs_refined_secm_r34"
    left = [path.name for path in folder.glob("masks/*")]
    assert len(left) == 1 and not left[0].endswith(".part") and len(list(folder.glob("?.txt"))) == 1


def test_weights_that_cannot_be_used_leave_nothing(results, data, weights):
    weights[3].write_bytes(b"no weights")
    with pytest.raises(InputError, match="refiner.safetensors: is not a whole checkpoint"):
        run_refine(results, data, weights)
    assert not list(results.parent.glob("theirs_refined*"))


def test_a_result_folder_is_refined(tracked, results, data, weights, capsys):
    folder = run_refine(results, data, weights, "--batch", 2)
    rows = read_result(results / "a.txt")
    expected = np.array(follow_alone(refined(Replay(lambda name: rows)), SEQUENCES["a"]))
    expected[2] = expected[1]  # the frame without a box
    np.testing.assert_allclose(read_result(folder / "a.txt"), expected, atol=1e-3)
    confidence = np.loadtxt(folder / "a_confidence.txt").tolist()
    assert confidence == [[0.7, 1], [0.7, 1], [0, 0], [0.7, 1]]
    run_refine(results, data, weights)
    assert "nothing was left to do" in capsys.readouterr().out
    (folder / "b.txt").unlink()
    run_refine(results, data, weights)
    assert "3 frames in" in capsys.readouterr().out and (folder / "b.txt").is_file()


def test_refined_results_are_not_mixed_with_those_of_other_boxes(tracked, results, data, weights):
    run_refine(results, data, weights)
    with pytest.raises(InputError, match="made with TEST.ROUNDS: 1, this run has 2"):
        run_refine(results, data, weights, "--refine_set", "TEST.ROUNDS=2")
    (results / "b.txt").write_text((results / "b.txt").read_text().replace("0", "1", 1))
    with pytest.raises(InputError, match="b was refined from another result than"):
        run_refine(results, data, weights)


def test_missing_and_short_results_are_named(tracked, results, data, weights):
    (results / "a.txt").write_text("1 2 3 4\n")
    with pytest.raises(InputError, match="a: 1 boxes for 4 frames"):
        run_refine(results, data, weights)
    (results / "a.txt").unlink()
    with pytest.raises(InputError, match="lacks the results of a; add them, or give --allow_missing"):
        run_refine(results, data, weights)
    folder = run_refine(results, data, weights, "--allow_missing")
    assert (folder / "b.txt").is_file()
    with pytest.raises(InputError, match="is the folder of the results themselves"):
        run_refine(results, data, weights, "--allow_missing", "--out", results)


def test_masks_of_any_shape_as_text():
    rng = np.random.default_rng(0)
    for mask in (rng.random((7, 9)) > 0.5, np.ones((3, 4), bool), np.zeros((3, 4), bool), np.eye(5, dtype=bool)):
        np.testing.assert_array_equal(decode_mask(encode_mask(mask), mask.shape), mask)
    with pytest.raises(ValueError, match="is no mask of a frame of 3x3"):
        decode_mask("m1,1,3,2,0,6", (3, 3))


def test_masks_of_an_interrupted_sequence_are_written_anew(tmp_path):
    for form in ("png", "rle"):
        writer = MaskWriter(tmp_path, form, 0.5)
        (target,) = fake_tracker().start([SEQUENCES["a"].frames[0]], [SEQUENCES["a"].boxes[0]])
        for count in (3, 2):  # stopped after three frames, then whole with two
            for index in range(count):
                writer("a", index, target, SIZE)
        writer.finish("a")
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert (tmp_path / "a.txt").read_text() == "m0,0,0,0\n" * 2


def test_every_tracker_has_the_key_of_its_refiner():
    for path in sorted((ROOT / "experiments").glob("*/defaults.yaml")):
        test = yaml.safe_load(path.read_text(encoding="utf-8"))["TEST"]
        assert test.get("REFINER") == ("" if path.parent.name != "alpha_refine" else None), path.parent.name
