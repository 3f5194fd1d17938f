import pytest
from fake_model import moving_sequence

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.test.evaluation.open import choose_sequence, config_name
from lib.test.evaluation.record import record_run

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
def run(tmp_path):
    """A folder with the record of one run and a result, its configuration and checkpoint."""
    cfg = load_config("ostrack", "vitb_256_mae_32x4_ep300")
    checkpoint = tmp_path / "a.safetensors"
    checkpoint.write_bytes(b"weights")
    folder = tmp_path / "results"
    record_run(folder, cfg, checkpoint)
    (folder / "blackcar_time.txt").write_text("0.1\n")
    return folder, cfg, checkpoint


def test_record_can_be_loaded_and_the_same_run_goes_on(run):
    folder, cfg, checkpoint = run
    assert load_config("ostrack", str(folder / "config.yaml")) == cfg
    before = (folder / "config.yaml").read_text()
    record_run(folder, cfg, checkpoint)
    assert (folder / "config.yaml").read_text() == before


@pytest.mark.parametrize("override", ["TEST.SEARCH_FACTOR=3.5", "MODEL.BACKBONE.DEPTH=4", "DATA.STD=[1, 1, 1]"])
def test_results_of_another_configuration_are_not_mixed_in(run, override):
    folder, _, checkpoint = run
    before = (folder / "config.yaml").read_text()
    other = load_config("ostrack", "vitb_256_mae_32x4_ep300", [override])
    with pytest.raises(InputError, match=f"made with {override.split('=')[0]}: .*choose another folder"):
        record_run(folder, other, checkpoint)
    assert (folder / "config.yaml").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["blackcar_time.txt", "config.yaml"]


def test_results_of_another_checkpoint_are_not_mixed_in(run):
    folder, cfg, checkpoint = run
    checkpoint.write_bytes(b"other weights")
    with pytest.raises(InputError, match="made with checkpoint: a.safetensors, sha256"):
        record_run(folder, cfg, checkpoint)
    with pytest.raises(InputError, match="made with boxes: floats, this run has integers"):
        checkpoint.write_bytes(b"weights")
        record_run(folder, cfg, checkpoint, integer_boxes=True)


def test_how_the_network_was_trained_does_not_matter(run):
    folder, _, checkpoint = run
    record_run(folder, load_config("ostrack", "vitb_256_mae_32x4_ep300", ["TRAIN.EPOCH=7"]), checkpoint)
    assert "EPOCH: 7" in (folder / "config.yaml").read_text()


def test_missing_checkpoint_is_one_line(run, tmp_path):
    folder, cfg, _ = run
    with pytest.raises(InputError, match="gone.pth: checkpoint does not exist"):
        record_run(folder, cfg, tmp_path / "gone.pth")
