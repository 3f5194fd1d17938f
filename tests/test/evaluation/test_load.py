from pathlib import Path

import pytest
from fake_model import moving_sequence
from trees import put_pair

from lib.core.config import config_name, load_config
from lib.core.errors import InputError
from lib.datasets.named import open_dataset
from lib.test.evaluation import open as evaluation
from lib.test.evaluation.open import open_run
from lib.test.evaluation.record import record_run
from lib.test.evaluation.sequences import choose_sequence
from lib.test.tracker.forward_pass import EXACT, ONNX, Mode

SEQUENCES = [moving_sequence(name) for name in ("blackcar", "leftgirl'swhitebag", "7")]


def test_sequence_by_name_or_index():
    assert choose_sequence(SEQUENCES, "leftgirl'swhitebag").name == "leftgirl'swhitebag"
    assert choose_sequence(SEQUENCES, "0").name == "blackcar"
    assert choose_sequence(SEQUENCES, "7").name == "7"
    with pytest.raises(InputError, match="--sequence 3: indices go from 0 to 2"):
        choose_sequence(SEQUENCES, "3")
    with pytest.raises(InputError, match="did you mean blackcar"):
        choose_sequence(SEQUENCES, "blakcar")


def test_name_of_a_configuration_file():
    assert config_name("some/where/small.yaml") == "small"
    assert config_name("v1.5_ep300") == "v1.5_ep300"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A training of two epochs: the configuration's TEST.EPOCH and another."""
    folder = tmp_path / "checkpoints" / "train" / "ostrack" / "vitb_256_mae_32x4_ep300"
    folder.mkdir(parents=True)
    for epoch in (300, 7):
        (folder / f"OSTrack_ep{epoch:04d}.pth.tar").write_bytes(b"")
    monkeypatch.setattr(evaluation, "read_local", lambda kind: {"save_dir": str(tmp_path)})
    return folder


def test_a_run_is_what_its_options_name(trained, tmp_path):
    names = "ostrack", "vitb_256_mae_32x4_ep300"
    run = open_run(*names, ["TEST.SEARCH_FACTOR=3.5"], device="cpu", threads=2)
    assert (run.tracker, run.config) == names and run.cfg.TEST.SEARCH_FACTOR == 3.5
    assert run.checkpoint == trained / "OSTrack_ep0300.pth.tar" and run.devices == ("cpu", "cpu")
    assert open_run(*names, runid=7, device="cpu").checkpoint == trained / "OSTrack_ep0007.pth.tar"
    own = tmp_path / "own.yaml"
    own.write_text("TEST: {EPOCH: 9}\n")
    run = open_run("ostrack", str(own), checkpoint="mine.pth", device="cpu")
    assert (run.config, run.checkpoint, run.devices) == ("own", Path("mine.pth"), ("cpu",))
    with pytest.raises(InputError, match="no checkpoint of epoch 8"):
        open_run(*names, runid=8, device="cpu")


def test_a_run_loads_its_tracker(monkeypatch):
    built = []
    monkeypatch.setattr(evaluation, "load_tracker", lambda *given: built.append(given))
    run = open_run("iimf_track", "tiny", checkpoint="a.pth", device="cpu")
    run.load()
    assert built == [(run.cfg, Path("a.pth"), "cpu", EXACT)]


def test_a_data_set_by_name_or_by_folder(tmp_path):
    put_pair(tmp_path / "testingset" / "a", annotations=("visible.txt", "infrared.txt"))
    for dataset, folder in (("folder", tmp_path / "testingset"), ("lasher_test", tmp_path)):
        assert [one.name for one in open_dataset(dataset, str(folder), dict)] == ["a"]
    assert [one.name for one in open_dataset("lasher_test", None, lambda: {"lasher_dir": str(tmp_path)})] == ["a"]
    with pytest.raises(InputError, match="needs --data_dir"):
        open_dataset("folder", None, dict)


@pytest.fixture
def run(tmp_path):
    """A folder with the record of one run and a result, its configuration and checkpoint."""
    cfg = load_config("ostrack", "vitb_256_mae_32x4_ep300")
    checkpoint = tmp_path / "a.safetensors"
    checkpoint.write_bytes(b"weights")
    folder = tmp_path / "results"
    record_run(folder, cfg, [checkpoint])
    (folder / "blackcar_time.txt").write_text("0.1\n")
    return folder, cfg, checkpoint


def test_record_can_be_loaded_and_the_same_run_goes_on(run):
    folder, cfg, checkpoint = run
    assert load_config("ostrack", str(folder / "config.yaml")) == cfg
    before = (folder / "config.yaml").read_text()
    record_run(folder, cfg, [checkpoint])
    assert (folder / "config.yaml").read_text() == before


@pytest.mark.parametrize("override", ["TEST.SEARCH_FACTOR=3.5", "MODEL.BACKBONE.DEPTH=4", "DATA.STD=[1, 1, 1]"])
def test_results_of_another_configuration_are_not_mixed_in(run, override):
    folder, _, checkpoint = run
    before = (folder / "config.yaml").read_text()
    other = load_config("ostrack", "vitb_256_mae_32x4_ep300", [override])
    with pytest.raises(InputError, match=f"made with {override.split('=')[0]}: .*choose another folder"):
        record_run(folder, other, [checkpoint])
    assert (folder / "config.yaml").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["blackcar_time.txt", "config.yaml"]


def test_results_of_another_checkpoint_are_not_mixed_in(run):
    folder, cfg, checkpoint = run
    checkpoint.write_bytes(b"other weights")
    with pytest.raises(InputError, match="made with checkpoint: a.safetensors, sha256"):
        record_run(folder, cfg, [checkpoint])
    with pytest.raises(InputError, match="made with boxes: floats, this run has integers"):
        checkpoint.write_bytes(b"weights")
        record_run(folder, cfg, [checkpoint], integer_boxes=True)


def test_results_of_another_backend_are_not_mixed_in(run):
    folder, cfg, checkpoint = run
    with pytest.raises(InputError, match="made with backend: torch, this run has onnxruntime; choose another folder"):
        record_run(folder, cfg, [checkpoint], mode=Mode(backend=ONNX))
    old = (folder / "config.yaml").read_text().replace("# backend: torch\n", "")  # as versions before wrote it
    (folder / "config.yaml").write_text(old)
    with pytest.raises(InputError, match="made with backend: torch"):
        record_run(folder, cfg, [checkpoint], mode=Mode(backend=ONNX))


def test_a_key_that_the_record_does_not_know_is_named(run, caplog):
    folder, cfg, checkpoint = run
    record = folder / "config.yaml"
    record_run(folder, cfg, [checkpoint])
    assert not caplog.messages
    factor = cfg.TEST.SEARCH_FACTOR
    record.write_text(record.read_text().replace(f"SEARCH_FACTOR: {factor}, SEARCH_SIZE", "SEARCH_SIZE"))
    record_run(folder, cfg, [checkpoint])
    text = "another version of the toolbox wrote the results here; it did not know"
    assert caplog.messages == [f"{record}: {text} TEST.SEARCH_FACTOR={factor}"]


def test_a_file_that_is_no_record_is_kept(run):
    folder, cfg, checkpoint = run
    (folder / "blackcar_time.txt").unlink()
    record_run(folder, cfg, [checkpoint])  # an earlier record without results
    (folder / "config.yaml").write_text("of the user")
    with pytest.raises(InputError, match=r"config\.yaml: is no record of a run, .*move the file away"):
        record_run(folder, cfg, [checkpoint])
    assert (folder / "config.yaml").read_text() == "of the user"


def test_how_the_network_was_trained_does_not_matter(run):
    folder, _, checkpoint = run
    record_run(folder, load_config("ostrack", "vitb_256_mae_32x4_ep300", ["TRAIN.EPOCH=7"]), [checkpoint])
    assert "EPOCH: 7" in (folder / "config.yaml").read_text()


def test_missing_checkpoint_is_one_line(run, tmp_path):
    folder, cfg, _ = run
    with pytest.raises(InputError, match="gone.pth: checkpoint does not exist"):
        record_run(folder, cfg, [tmp_path / "gone.pth"])
