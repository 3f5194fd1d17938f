import functools
import shlex
import shutil
from contextlib import suppress

import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence
from fake_visdom import fake_visdom, unused_port

from lib.cli import score
from lib.cli import test as test_command
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.lock import hold
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.test.analysis import sources
from lib.test.evaluation import open as evaluation
from lib.test.evaluation.open import load_tracker
from lib.test.evaluation.record import undo_without_results
from lib.test.results.files import read_result
from lib.test.video.video import write_image

CONFIG = "vitb_256_tbsi_32x1_1e4_lasher_15ep_sot"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sequences in LasHeR layout and a visible one in LaSOT layout."""
    root = tmp_path_factory.mktemp("data")
    for name, folders in (("a", (VISIBLE, INFRARED)), ("b", (VISIBLE, INFRARED)), ("c", ("img",))):
        sequence = moving_sequence(name, length=4)
        for index in range(len(sequence)):
            for folder, image in zip(folders, sequence.frames[index], strict=False):
                write_image(root / name / folder / f"{index:06d}.png", image)
        for file in ("visible.txt", "infrared.txt") if len(folders) == 2 else ("groundtruth.txt",):
            np.savetxt(root / name / file, sequence.boxes, fmt="%d", delimiter=",")
    return root


@pytest.fixture
def command(monkeypatch, tmp_path, data):
    """Runs tracking/test.py in this process with a network that needs no weights; local.py points into tmp_path."""
    local = {"save_dir": str(tmp_path / "save"), "results_dir": str(tmp_path / "results"), "lasher_dir": ""}
    monkeypatch.setattr(evaluation, "load_tracker", lambda cfg, checkpoint, device, mode: fake_tracker(device))
    for module in (test_command, evaluation, sources, score):
        monkeypatch.setattr(module, "read_local", lambda kind: local)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["test.py", "tbsi_track", CONFIG, "--device", "cpu", *map(str, arguments)])
        test_command.main()

    return run


@pytest.fixture
def checkpoints(tmp_path):
    """Trainings of two epochs: the configuration's TEST.EPOCH and another."""
    folder = tmp_path / "save" / "checkpoints" / "train" / "tbsi_track" / CONFIG
    folder.mkdir(parents=True)
    for epoch in (15, 7):
        (folder / f"IIMFTrack_ep{epoch:04d}.pth.tar").write_bytes(bytes([epoch]))


def test_results_lie_where_the_family_puts_them(command, data, checkpoints, tmp_path, capsys):
    command("--dataset_name", "folder", "--data_dir", data, "--threads", "1", "--num_gpus", "1")
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    names = {f"{name}{end}" for name in "abc" for end in (".txt", "_time.txt", "_confidence.txt")}
    names |= {"config.yaml", "data.json"}
    assert {path.name for path in folder.iterdir()} == names
    for name in "abc":
        np.testing.assert_allclose(read_result(folder / f"{name}.txt"), moving_sequence(name, 4).boxes, atol=1.0)
    assert load_config("tbsi_track", str(folder / "config.yaml")) == load_config("tbsi_track", CONFIG)
    assert "IIMFTrack_ep0015.pth.tar" in (folder / "config.yaml").read_text()
    printed = capsys.readouterr().out
    assert f"results: {folder} (12 frames in" in printed
    assert f"analysis_results.py --tracker_name tbsi_track --tracker_param {CONFIG} --dataset_name folder" in printed


@pytest.mark.parametrize("more", [(), ("--out", "own folder"), ("--runid", "7"), ("--modality", "visible")])
@pytest.mark.parametrize("dataset", ["folder", "lasher_test"])
def test_the_printed_line_scores_them(command, data, checkpoints, tmp_path, monkeypatch, capsys, dataset, more):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lasher" / "testingset").mkdir(parents=True)
    (tmp_path / "lasher" / "testingset" / "a").symlink_to(data / "a")
    command(
        "--dataset_name", dataset, "--data_dir", {"folder": data, "lasher_test": tmp_path / "lasher"}[dataset], *more
    )
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("score them: "))
    python, script, *words = shlex.split(line.removeprefix("score them: "))
    assert (python, script) == ("python", "tracking/analysis_results.py")
    score.main(words)
    shown = capsys.readouterr().out
    assert ("3 sequences, plain rules" if dataset == "folder" else "1 sequence, lasher rules") in shown


def test_run_number_picks_the_epoch_and_names_the_folder(command, data, checkpoints, tmp_path, capsys):
    command("--dataset_name", "folder", "--data_dir", data, "--runid", "7", "--sequence", "b")
    folder = tmp_path / "results" / "tbsi_track" / f"{CONFIG}_007"
    names = {"b.txt", "b_time.txt", "b_confidence.txt", "config.yaml", "data.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert "IIMFTrack_ep0007.pth.tar" in (folder / "config.yaml").read_text()
    assert "--runid 7" in capsys.readouterr().out


def test_second_run_follows_what_is_left(command, data, checkpoints, caplog, capsys):
    arguments = "--dataset_name", "folder", "--data_dir", data
    with caplog.at_level("INFO"):
        command(*arguments, "--sequence", "1")
        command(*arguments)
        command(*arguments)
    assert "1 of 3 sequences finished already, not tracked again" in caplog.text
    assert "8 frames in" in (printed := capsys.readouterr().out) and "nothing was left to do" in printed


def test_lock_step_writes_what_one_at_a_time_writes(command, data, checkpoints, tmp_path):
    for folder, more in (("one", ()), ("three", ("--batch", "8"))):
        command("--dataset_name", "folder", "--data_dir", data, "--results_dir", tmp_path / folder, *more)
    one, three = (tmp_path / folder / "tbsi_track" / CONFIG for folder in ("one", "three"))
    for name in "abc":
        assert (one / f"{name}.txt").read_bytes() == (three / f"{name}.txt").read_bytes()
    with pytest.raises(InputError, match="made with precision: fp32, this run has bf16"):
        command(
            "--dataset_name", "folder", "--data_dir", data, "--results_dir", tmp_path / "one", "--precision", "bf16"
        )


def test_a_live_view_changes_no_result(command, data, checkpoints, tmp_path, caplog):
    with fake_visdom() as fake:
        for folder, more in (
            ("plain", ()),
            ("shown", ("--debug", "visdom", "--visdom", fake.address)),
            ("none", ("--debug", "visdom", "--visdom", f"127.0.0.1:{unused_port()}")),
        ):
            command("--dataset_name", "folder", "--data_dir", data, "--results_dir", tmp_path / folder, *more)
    for name in "abc":
        plain, *others = (
            (tmp_path / folder / "tbsi_track" / CONFIG / f"{name}.txt").read_bytes()
            for folder in ("plain", "shown", "none")
        )
        assert others == [plain, plain]
    assert "Tracking" in fake.windows() and fake.posts[0][1]["eid"] == f"tbsi_track-{CONFIG}-test"
    assert caplog.text.count("the run goes on without it") == 1


def test_integer_boxes_and_own_folder(command, data, tmp_path, capsys):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"")
    command("--dataset_name", "folder", "--data_dir", data, "--checkpoint", weights, "--integer_boxes",
            "--results_dir", tmp_path / "own folder")  # fmt: skip
    folder = tmp_path / "own folder" / "tbsi_track" / CONFIG
    assert all(field.isdigit() for field in (folder / "a.txt").read_text().split())
    assert f"--results 'tbsi_track={folder}'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset_name", "folder"), "needs --data_dir"),
        (("--dataset_name", "lasher_tset"), "did you mean lasher_test"),
        ((), "set lasher_dir in local.py"),
        (("--threads", "-1"), "--threads -1"),
        (("--batch", "0"), "--batch 0: expected 1 or more"),
        (("--precision", "fp16"), "--precision fp16: processors"),
        (("--backend", "onnxruntime", "--compile"), "--backend onnxruntime: --compile is for PyTorch"),
        (("--threads", "2", "--mode", "multiple"), "--nproc_per_node says how many"),
        (("--set", "TEST.SEARCH_FACTR=4"), "did you mean TEST.SEARCH_FACTOR"),
        (("--visdom", "gpu1:8097"), "--visdom gpu1:8097: is the server of --debug visdom; add that"),
        (("--debug", "visdom", "--visdom", "gpu1:x"), "--visdom gpu1:x: expected HOST:PORT"),
        (("--debug", "visdom", "--threads", "2"), "--debug visdom --threads 2: shows what one process tracks"),
        (("--debug", "visdom", "--mode", "multiple"), "--debug visdom --mode multiple: shows what one process tracks"),
    ],
)
def test_wrong_arguments_are_one_line(command, checkpoints, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        command(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("several", [("--threads", "2"), ("--mode", "multiple", "--nproc_per_node", "2")])
def test_graphs_are_made_once_before_several_processes_start(command, data, checkpoints, monkeypatch, several):
    done = []
    monkeypatch.setattr(evaluation, "open_graphs", lambda *given, **more: done.append("graphs"))
    monkeypatch.setattr(test_command, "run_tracking", lambda *given: done.append("tracking"))
    monkeypatch.setattr(test_command, "run_processes", lambda *given: done.append("tracking") or 0)
    with suppress(SystemExit):
        command("--dataset_name", "folder", "--data_dir", data, "--backend", "onnxruntime", *several)
    assert done == ["graphs", "tracking"]


def test_absent_checkpoint_is_one_line_and_leaves_nothing(command, data, tmp_path):
    with pytest.raises(InputError, match="no checkpoint of epoch 15"):
        command("--dataset_name", "folder", "--data_dir", data)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("more", [(), ("--threads", "2"), ("--mode", "multiple", "--nproc_per_node", "2")])
def test_a_checkpoint_that_cannot_be_used_leaves_nothing(command, data, tmp_path, monkeypatch, more):
    """One that is missing, and one that turns out to be none when the tracker is made, here or in other processes."""
    monkeypatch.setattr(test_command, "run_processes", lambda words: 1)
    with pytest.raises(InputError, match="gone.pth: checkpoint does not exist"):
        command("--dataset_name", "folder", "--data_dir", data, "--checkpoint", tmp_path / "gone.pth", *more)
    (tmp_path / "torn.pth").write_bytes(b"no weights")
    monkeypatch.setattr(evaluation, "load_tracker", load_tracker)
    with pytest.raises((InputError, SystemExit)) as caught:
        command("--dataset_name", "folder", "--data_dir", data, "--checkpoint", tmp_path / "torn.pth", *more)
    assert "torn.pth: is not a whole checkpoint" in str(caught.value) or str(caught.value) == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["torn.pth"]


@pytest.mark.parametrize("more", [(), ("--mode", "multiple", "--nproc_per_node", "2")])
def test_a_run_that_is_refused_leaves_the_records_of_the_one_that_writes(command, data, checkpoints, tmp_path, more):
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    with hold(folder, ""):
        (folder / "config.yaml").write_text("of the other run")
        with pytest.raises(InputError, match="is writing here"):
            command("--dataset_name", "folder", "--data_dir", data, *more)
        assert (folder / "config.yaml").read_text() == "of the other run"


def test_a_failure_after_a_result_keeps_it_and_its_records(command, data, checkpoints, tmp_path, monkeypatch):
    written = functools.partial(fail_at, "b", test_command.write_result)
    monkeypatch.setattr(test_command, "write_result", written)
    with pytest.raises(InputError, match="full"):
        command("--dataset_name", "folder", "--data_dir", data)
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    assert {"a.txt", "config.yaml", "data.json"} <= {path.name for path in folder.iterdir()}


def fail_at(name, write, folder, sequence, *arguments, **more):
    if sequence == name:
        raise InputError("full")
    write(folder, sequence, *arguments, **more)


@pytest.mark.parametrize("name", ["b.txt", "b_time.txt", "b_confidence.txt", "config.yaml", "data.json"])
def test_a_folder_in_the_place_of_a_result_is_refused_before_tracking(command, data, checkpoints, tmp_path, name):
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    (folder / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{name}: is a folder, but a file is to get this name"):
        command("--dataset_name", "folder", "--data_dir", data)
    assert [path.name for path in folder.iterdir()] == [name]


def copy_data(data, folder, **shift):
    """The sequences under another path; shift: sequence -> pixels by which its boxes move."""
    shutil.copytree(data, folder)
    for name, pixels in shift.items():
        for file in folder.glob(f"{name}/*.txt"):
            np.savetxt(file, np.loadtxt(file, delimiter=",") + [pixels, 0, 0, 0], fmt="%d", delimiter=",")
    return folder


def test_another_folder_with_the_same_names_is_refused(command, data, checkpoints, tmp_path, caplog):
    command("--dataset_name", "folder", "--data_dir", data)
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    before = {path: path.read_bytes() for path in folder.iterdir()}
    other = copy_data(data, tmp_path / "other", b=2)
    with pytest.raises(InputError, match=rf"b\.txt: was tracked on {data}: .* here is {other}: .*--results_dir"):
        command("--dataset_name", "folder", "--data_dir", other)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    words = ["--tracker_name", "tbsi_track", "--tracker_param", CONFIG, "--dataset_name", "folder", "--data_dir"]
    with pytest.raises(InputError, match=rf"b was tracked on {data}: .*{other} has first box 62,50"):
        score.main([*words, str(other)])
    moved = copy_data(data, tmp_path / "moved")
    with caplog.at_level("INFO"):
        command("--dataset_name", "folder", "--data_dir", moved)
        score.main([*words, str(moved)])
    assert "3 of 3 sequences finished" in caplog.text
    assert f"3 of 3 results were tracked on {data} and are scored against {moved}" in caplog.text


def test_two_runs_in_one_folder(command, data, checkpoints, tmp_path):
    folder = tmp_path / "results" / "tbsi_track" / CONFIG
    with (
        hold(folder, ""),
        pytest.raises(InputError, match=r"is writing here; .*another folder \(--results_dir, --out\)"),
    ):
        command("--dataset_name", "folder", "--data_dir", data)
    assert not list(folder.iterdir())


def test_a_bad_sequence_ends_with_what_is_done(command, data, checkpoints, tmp_path, capsys):
    broken = copy_data(data, tmp_path / "broken")
    (broken / "b" / VISIBLE / "000002.png").write_bytes(b"")
    with pytest.raises(InputError, match="000002.png"):
        command("--dataset_name", "folder", "--data_dir", broken)
    printed = capsys.readouterr().out
    assert "finished: 1 of 3 sequences (a) in " in printed and "not finished: b, c\n" in printed
    line = next(line for line in printed.splitlines() if line.startswith("after the remedy this goes on: "))
    assert shlex.split(line.partition(": ")[2])[:4] == ["python", "tracking/test.py", "tbsi_track", CONFIG]
    shutil.copy(data / "b" / VISIBLE / "000002.png", broken / "b" / VISIBLE)
    command(*shlex.split(line.partition(": ")[2])[6:])
    assert "(8 frames in" in capsys.readouterr().out


def test_names_that_share_a_file_are_refused_before_tracking(command, data, checkpoints, tmp_path):
    twin = copy_data(data, tmp_path / "twin")
    shutil.copytree(data / "a", twin / "a_time")
    with pytest.raises(InputError, match=r"a and a_time: both sequences would write a_time\.txt"):
        command("--dataset_name", "folder", "--data_dir", twin)
    assert not list((tmp_path / "results").glob("*/*/*.txt"))


def test_a_failure_removes_the_records_that_the_run_wrote_and_no_others(tmp_path):
    (tmp_path / "config.yaml").write_text("of the user")
    with pytest.raises(InputError), undo_without_results(tmp_path, "more.json"):
        for name in ("refiner.yaml", "data.json", "more.json"):
            (tmp_path / name).write_text("of the run")
        raise InputError("it fails")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "of the user"
