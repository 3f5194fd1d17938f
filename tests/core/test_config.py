"""Configuration: the public recipes value by value, and every mistake as one clear line."""

import ast
import copy
import logging
from pathlib import Path

import pytest
import yaml

from lib.core import config, paths
from lib.core.config import EXPERIMENTS, list_configs, load_config, save_config
from lib.core.errors import InputError
from lib.core.schema import read_schema

# Keys and values of the public code. The defaults of IIMF and TBSI; OSTrack has the same but for what follows.
DEFAULTS = """
DATA.MAX_SAMPLE_INTERVAL: 200
DATA.MEAN: [0.485, 0.456, 0.406]
DATA.SAMPLER_MODE: causal
DATA.SEARCH: {CENTER_JITTER: 4.5, FACTOR: 5.0, NUMBER: 1, SCALE_JITTER: 0.5, SIZE: 320}
DATA.STD: [0.229, 0.224, 0.225]
DATA.TEMPLATE: {CENTER_JITTER: 0, FACTOR: 2.0, NUMBER: 1, SCALE_JITTER: 0, SIZE: 128}
DATA.TRAIN: {DATASETS_NAME: [LASOT, GOT10K_vottrain], DATASETS_RATIO: [1, 1], SAMPLE_PER_EPOCH: 60000}
DATA.VAL: {DATASETS_NAME: [GOT10K_votval], DATASETS_RATIO: [1], SAMPLE_PER_EPOCH: 10000}
MODEL.BACKBONE: {ADD_CLS_TOKEN: false, CAT_MODE: direct, CE_KEEP_RATIO: [], CE_LOC: [], CE_TEMPLATE_RANGE: ALL,
  CLS_TOKEN_USE_MODE: ignore, MERGE_LAYER: 0, MID_PE: false, SEP_SEG: false, STRIDE: 16, TYPE: vit_base_patch16_224}
MODEL.EXTRA_MERGER: false
MODEL.HEAD: {NUM_CHANNELS: 256, TYPE: CENTER}
MODEL.PRETRAIN_FILE: mae_pretrain_vit_base.pth
MODEL.RETURN_INTER: false
TEST: {EPOCH: 500, SEARCH_FACTOR: 5.0, SEARCH_SIZE: 320, TEMPLATE_FACTOR: 2.0, TEMPLATE_SIZE: 128}
TRAIN: {AMP: false, BACKBONE_MULTIPLIER: 0.1, BATCH_SIZE: 16, CE_START_EPOCH: 20, CE_WARM_EPOCH: 80,
  DROP_PATH_RATE: 0.1, EPOCH: 500, FREEZE_LAYERS: [0], GIOU_WEIGHT: 2.0, GRAD_CLIP_NORM: 0.1, L1_WEIGHT: 5.0,
  LR: 0.0001, LR_DROP_EPOCH: 400, NUM_WORKER: 8, OPTIMIZER: ADAMW, PRINT_INTERVAL: 50, SCHEDULER.DECAY_RATE: 0.1,
  SCHEDULER.TYPE: step, VAL_EPOCH_INTERVAL: 20, WEIGHT_DECAY: 0.0001}
"""
RGBT_DEFAULTS = """
MODEL.BACKBONE: {RGBT_UNSHARE: false, RGB_ONLY: false, TBSI_LOC: []}
MODEL.RETURN_STAGES: [2, 5, 8, 11]
TRAIN: {SOT_PRETRAIN: false, TBSI_DROP_PATH: [], TBSI_DROP_RATE: 0.0}
"""
IIMF_DEFAULTS = """
TRAIN.F2_WEIGHT: 3.0
"""
OSTRACK_DEFAULTS = """
MODEL.RETURN_STAGES: []
"""

# What every LasHeR recipe changes; the clipping norm is ours (the public 0.1 never acted under mixed precision).
LASHER = """
DATA.MEAN: [0.485, 0.456, 0.406, 0.449, 0.449, 0.449]
DATA.STD: [0.229, 0.224, 0.225, 0.226, 0.226, 0.226]
DATA.SEARCH: {CENTER_JITTER: 3, FACTOR: 4.0, SCALE_JITTER: 0.25, SIZE: 256}
DATA.TRAIN: {DATASETS_NAME: [LasHeR_train], DATASETS_RATIO: [1]}
DATA.VAL.DATASETS_NAME: [LasHeR_test]
MODEL.BACKBONE.TYPE: vit_base_patch16_224_tbsi
TRAIN: {AMP: true, LR_DROP_EPOCH: 10, GRAD_CLIP_NORM: 0}
TEST: {SEARCH_FACTOR: 4.0, SEARCH_SIZE: 256}
"""
IN1K = "{MODEL.PRETRAIN_FILE: deit_base_patch16_224-b5f2ef4d.pth, TRAIN.LR: 0.0004, TRAIN.EPOCH: 15}"
SOT = "{MODEL.PRETRAIN_FILE: TBSITrack_SOT_Pretrained.pth.tar, TRAIN.SOT_PRETRAIN: true, TRAIN.BATCH_SIZE: 32}"

OSTRACK = """
TRAIN: {BATCH_SIZE: 32, LR: 0.0004, NUM_WORKER: 10}
"""
EP300 = """
DATA.TRAIN: {DATASETS_NAME: [LASOT, GOT10K_vottrain, COCO17, TRACKINGNET], DATASETS_RATIO: [1, 1, 1, 1]}
TRAIN: {EPOCH: 300, LR_DROP_EPOCH: 240}
TEST.EPOCH: 300
"""
EP100 = """
DATA.TRAIN: {DATASETS_NAME: [GOT10K_train_full], DATASETS_RATIO: [1]}
DATA.VAL.DATASETS_NAME: [GOT10K_official_val]
TRAIN: {EPOCH: 100, LR_DROP_EPOCH: 80, CE_WARM_EPOCH: 50}
TEST.EPOCH: 100
"""
P256 = """
DATA.SEARCH: {CENTER_JITTER: 3, FACTOR: 4.0, SCALE_JITTER: 0.25, SIZE: 256}
TEST: {SEARCH_FACTOR: 4.0, SEARCH_SIZE: 256}
"""
P384 = """
DATA: {SEARCH.SIZE: 384, TEMPLATE.SIZE: 192}
TEST: {SEARCH_SIZE: 384, TEMPLATE_SIZE: 192}
"""
CE = """
MODEL.BACKBONE: {TYPE: vit_base_patch16_224_ce, CE_LOC: [3, 6, 9], CE_KEEP_RATIO: [0.7, 0.7, 0.7],
  CE_TEMPLATE_RANGE: CTR_POINT}
"""

IIMF = [DEFAULTS, RGBT_DEFAULTS, IIMF_DEFAULTS, LASHER]
TBSI = [DEFAULTS, RGBT_DEFAULTS, LASHER]
RGB = [DEFAULTS, OSTRACK]
RECIPES = {
    "tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot": [
        *IIMF,
        SOT,
        "{MODEL.BACKBONE.TBSI_LOC: [3], TRAIN: {TBSI_DROP_PATH: [0.0, 0.0, 0.0], EPOCH: 30, F2_WEIGHT: 0.2,"
        "VAL_EPOCH_INTERVAL: 5}, TEST.EPOCH: 15, MODEL.NAME: iimf_track}",
    ],
    "tbsi_track/vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k": [
        *IIMF,
        IN1K,
        "{MODEL.BACKBONE.TBSI_LOC: [3, 7, 11], TRAIN: {TBSI_DROP_PATH: [0.0, 0.0, 0.0, 0.0],"
        "VAL_EPOCH_INTERVAL: 10}, TEST.EPOCH: 30, MODEL.NAME: iimf_track}",
    ],
    "tbsi_track/tbsi_vitb_256_32x1_1e4_lasher_15ep_sot": [
        *TBSI,
        SOT,
        "{MODEL.BACKBONE.TBSI_LOC: [3, 6, 9], TRAIN: {TBSI_DROP_PATH: [0.0, 0.0, 0.0], EPOCH: 15,"
        "VAL_EPOCH_INTERVAL: 10}, TEST.EPOCH: 15, MODEL.NAME: tbsi_track}",
    ],
    "tbsi_track/tbsi_vitb_256_32x4_4e4_lasher_15ep_in1k": [
        *TBSI,
        IN1K,
        "{MODEL.BACKBONE.TBSI_LOC: [3, 6, 9], TRAIN: {TBSI_DROP_PATH: [0.0, 0.0, 0.0], BATCH_SIZE: 32,"
        "VAL_EPOCH_INTERVAL: 10}, TEST.EPOCH: 15, MODEL.NAME: tbsi_track}",
    ],
    "ostrack/vitb_256_mae_32x4_ep300": [*RGB, OSTRACK_DEFAULTS, P256, EP300],
    "ostrack/vitb_256_mae_ce_32x4_ep300": [*RGB, OSTRACK_DEFAULTS, P256, EP300, CE],
    "ostrack/vitb_256_mae_ce_32x4_got10k_ep100": [*RGB, OSTRACK_DEFAULTS, P256, EP100, CE],
    "ostrack/vitb_384_mae_32x4_ep300": [*RGB, OSTRACK_DEFAULTS, P384, EP300],
    "ostrack/vitb_384_mae_ce_32x4_ep300": [*RGB, OSTRACK_DEFAULTS, P384, EP300, CE],
    "ostrack/vitb_384_mae_ce_32x4_got10k_ep100": [*RGB, OSTRACK_DEFAULTS, P384, EP100, CE],
}

#: Keys that the public code has not, and what they are in every public recipe.
OURS = {
    "MODEL.BACKBONE.EMBED_DIM": 0, "MODEL.BACKBONE.DEPTH": 0, "MODEL.BACKBONE.NUM_HEADS": 0,
    "TRAIN.SEED": 42, "TRAIN.AMP_DTYPE": "float16", "TRAIN.FOCAL_WEIGHT": 1.0, "TRAIN.SAVE_EPOCH_INTERVAL": 1,
    "DATA.SCALED_DECODE": False, "TRAIN.GLOBAL_BATCH": 0, "TRAIN.KEEP_CHECKPOINTS": 0, "TRAIN.EMA_DECAY": 0.0,
    "TRAIN.SKIP_SHARE": 0.0, "TRAIN.SCHEDULER.WARMUP_START": 0.0,
    "TRAIN.LAYER_DECAY": 1.0, "TRAIN.LORA_RANK": 0, "TRAIN.LORA_ALPHA": 16.0,
    "TRAIN.FUSED": False, "TRAIN.CHECKPOINT_BLOCKS": False, "TRAIN.COMPILE": False, "TRAIN.CHANNELS_LAST": False,
    "TRAIN.SCHEDULER.GAMMAS": [], "TRAIN.SCHEDULER.WARMUP": "linear", "TRAIN.SCHEDULER.WARMUP_EVERY": "step",
    "DATA.TRAIN.WITHOUT": [],
    "TRAIN.SCHEDULER.MILESTONES": [], "TRAIN.SCHEDULER.FINAL_SHARE": 0.0, "TRAIN.SCHEDULER.WARMUP_EPOCHS": 0.0,
    "TEST.CALIBRATE": False, "TEST.SIZE_RATE": 1.0, "TEST.REFINER": "",
}  # fmt: skip
#: Recipes of ours -> the published one whose steps they take
SECOND_STAGES = {
    "tbsi_track/tbsi_vitb_256_lasher_ostrack": "tbsi_track/tbsi_vitb_256_32x1_1e4_lasher_15ep_sot",
    "iimf_track/vitb_256_lasher_ostrack": "tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot",
}
OURS_RGBT = {"MODEL.BACKBONE.TBSI_MLP_RATIO": 4.0, "DATA.INFRARED": "grey", "TRAIN.MODALITY_DROPOUT": 0.0}
OURS_RGBT |= {"DATA.MISREGISTRATION": 0.0, "DATA.MISREGISTERED": 1.0, "DATA.FAULTS": 0.0, "DATA.TEMPLATE_FAULTS": 0.0}
OURS_OSTRACK = {"MODEL.NAME": "ostrack", "TRAIN.SOT_PRETRAIN": False}

TINY = "tiny"


@pytest.mark.parametrize("parts", [("small_start", "small_middle"), ("small_middle", "small"), ("tiny", "tiny_video")])
def test_each_part_of_small_and_tiny_goes_on_where_the_one_before_ends(parts):
    first, second = (flatten(load_config("iimf_track", name)) for name in parts)
    assert second["MODEL.PRETRAIN_FILE"] == f"IIMFTrack_ep{first['TRAIN.EPOCH']:04d}.pth.tar"
    network = {key for key in first if key.startswith("MODEL.") or key.endswith("SIZE")} - {"MODEL.PRETRAIN_FILE"}
    assert all(first[key] == second[key] for key in network)
    assert second["TEST.EPOCH"] == second["TRAIN.EPOCH"]


def flatten(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


@pytest.mark.parametrize("name", RECIPES)
def test_public_recipe_value_by_value(name):
    tracker, recipe = name.split("/")
    expected = dict(OURS)
    for part in RECIPES[name]:
        expected.update(flatten(yaml.safe_load(part)))
    if tracker == "tbsi_track":
        expected.update({"TRAIN.F2_WEIGHT": expected.get("TRAIN.F2_WEIGHT", 3.0)}, **OURS_RGBT)  # one file for both
    else:
        expected.update(OURS_OSTRACK)
    assert flatten(load_config(tracker, recipe)) == expected


def test_every_public_recipe_is_in_the_table():
    there = {f"{tracker}/{name}" for tracker in ("tbsi_track", "ostrack") for name in list_configs(tracker)}
    assert there - set(SECOND_STAGES) == set(RECIPES)


@pytest.mark.parametrize("recipe", SECOND_STAGES)
def test_second_stages_are_published_recipes_from_another_start(recipe):
    own, public = (flatten(load_config(*name.split("/"))) for name in (recipe, SECOND_STAGES[recipe]))
    assert own["MODEL.PRETRAIN_FILE"] == "OSTrack_ep0300.pth.tar"
    first = load_config("ostrack", "vitb_256_mae_32x4_ep300")
    assert first.TRAIN.EPOCH == 300 and first.MODEL.NAME == "ostrack"
    differing = {key for key in public if own[key] != public[key]}
    assert differing <= {"MODEL.PRETRAIN_FILE", "DATA.TRAIN.DATASETS_NAME", "DATA.VAL.DATASETS_NAME", "TEST.EPOCH",
                         "TRAIN.VAL_EPOCH_INTERVAL", "TRAIN.F2_WEIGHT", "TRAIN.TBSI_DROP_PATH",
                         "MODEL.BACKBONE.TYPE"}  # fmt: skip
    assert own["TRAIN.EPOCH"] == own["TEST.EPOCH"] and not any(own["TRAIN.TBSI_DROP_PATH"])


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*/defaults.yaml")), ids=lambda path: path.parent.name)
def test_every_key_of_a_defaults_file_has_a_rule_that_its_default_keeps(path):
    rules = read_schema(path)
    values = flatten(yaml.safe_load(path.read_text()))
    assert list(rules) == list(values)
    for key, rule in rules.items():
        assert rule.check(values[key]) == values[key], key
        assert key.isupper()


def test_a_key_without_a_rule_is_noticed(tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text("TRAIN:\n  LR: 0.1  # the learning rate\n")
    with pytest.raises(ValueError, match=r"TRAIN\.LR: its comment must begin with an interval"):
        read_schema(path)


# A change to iimf_track/tiny, and what the message must hold beside the file's name: key, value, remedy.
WRONG = {
    "DATA: {SEARCH: {FACTR: 4.0}}": ["DATA.SEARCH.FACTR", "unknown key", "did you mean DATA.SEARCH.FACTOR?"],
    "NONSENSE: 1": ["NONSENSE", "unknown key", "defaults.yaml"],
    "TRAIN: {LR: fast}": ["TRAIN.LR", "'fast'", "expected a number", "default 0.0001"],
    "TRAIN: {LR: true}": ["TRAIN.LR", "True", "expected a number"],
    "TRAIN: {LR: 0}": ["TRAIN.LR", "0", "expected a value in (0, 10]"],
    "TRAIN: {LR: .nan}": ["TRAIN.LR", "nan", "expected a value in (0, 10]"],
    "TRAIN: {EPOCH: 2.5}": ["TRAIN.EPOCH", "2.5", "expected a whole number"],
    "TRAIN: {AMP: 1}": ["TRAIN.AMP", "1", "expected true or false"],
    "TRAIN: {DROP_PATH_RATE: 1.0}": ["TRAIN.DROP_PATH_RATE", "1.0", "expected a value in [0, 1)"],
    "TRAIN: 5": ["TRAIN", "it is a section", "TRAIN.SEED"],
    "TRAIN: {LR: {VALUE: 1}}": ["TRAIN.LR.VALUE", "unknown key", "did you mean"],
    "MODEL: {HEAD: {TYPE: MLP}}": ["MODEL.HEAD.TYPE", "'MLP'", "expected one of CENTER, CORNER"],
    "MODEL: {PRETRAIN_FILE: 3}": ["MODEL.PRETRAIN_FILE", "3", "expected text"],
    "MODEL: {BACKBONE: {TBSI_LOC: 3}}": ["MODEL.BACKBONE.TBSI_LOC", "3", "expected a list"],
    "MODEL: {BACKBONE: {TBSI_LOC: [x]}}": ["MODEL.BACKBONE.TBSI_LOC", "['x']", "expected a whole number"],
    "MODEL: {BACKBONE: {TBSI_LOC: [1.5]}}": ["MODEL.BACKBONE.TBSI_LOC", "[1.5]", "expected a whole number"],
    "TRAIN: {TBSI_DROP_PATH: [no]}": ["TRAIN.TBSI_DROP_PATH", "[False]", "expected a number"],
    "DATA: {TRAIN: {DATASETS_NAME: [a]}}": ["DATA.TRAIN.DATASETS_RATIO", "2 values for 1", "give one for each"],
    "DATA: {MEAN: [0.5, 0.5], STD: [0.5, 0.5]}": ["DATA.MEAN", "[0.5, 0.5]", "expected 3 or 6 values, for visible or"],
    "DATA: {MEAN: [0.5, 0.5, 0.5]}": ["DATA.STD", "6 values for 3", "give one for each"],
    "DATA: {SEARCH: {SIZE: 100}}": ["DATA.SEARCH.SIZE", "100", "not a multiple of MODEL.BACKBONE.STRIDE 16", "give 96"],
    "TEST: {SEARCH_SIZE: 256}": ["TEST.SEARCH_SIZE", "256", "differs from DATA.SEARCH.SIZE 320", "set both alike"],
    "TRAIN:\n  LR: 0.1\n  LR: 0.2": ["line 3", "LR is given twice", "fix the line"],
    "TRAIN: [1": ["line", "is not valid YAML", "fix the line"],
    "just text": ["holds str", "expected KEY: value"],
    "- 1\n- 2": ["holds list", "expected KEY: value"],
    "a: !!python/object/apply:os.system [echo]": ["is not valid YAML"],
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_configuration_is_one_clear_line(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_config("iimf_track", str(path))
    message = str(raised.value)
    assert "\n" not in message
    for part in ["mine.yaml", *WRONG[text]]:
        assert part in message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("iimf_trak", TINY), ["tracker 'iimf_trak'", "did you mean iimf_track?"]),
        (("iimf_track", "tinny"), ["'tinny'", "did you mean tiny?"]),
        (("iimf_track", "TINY"), ["'TINY'", "lower and upper case"]),
        (("iimf_track", "/nowhere/mine.yaml"), ["/nowhere/mine.yaml", "no such file", "give a YAML file's path"]),
        (("iimf_track", TINY, ["TRAIN.LR"]), ["--set TRAIN.LR", "expected KEY=VALUE", "TRAIN.LR=1e-4"]),
        (("iimf_track", TINY, ["TRAIN.LR=[1"]), ["--set TRAIN.LR=[1", "not a YAML value", "quote it"]),
        (("iimf_track", TINY, ["TRAIN.LT=1"]), ["--set", "TRAIN.LT", "did you mean TRAIN.LR?"]),
        (("iimf_track", TINY, ["TRAIN.LR=-1"]), ["--set", "TRAIN.LR", "-1", "expected a value in (0, 10]"]),
        (("iimf_track", TINY, ["TRAIN.LR="]), ["--set", "TRAIN.LR", "''", "expected a number"]),
    ],
)  # fmt: skip
def test_wrong_name_or_override_is_one_clear_line(arguments, parts):
    with pytest.raises(InputError) as raised:
        load_config(*arguments)
    assert "\n" not in str(raised.value)
    assert all(part in str(raised.value) for part in parts), raised.value


def test_override_wins_and_numbers_may_lack_a_point():
    cfg = load_config("iimf_track", TINY, ["TRAIN.LR=1e-3", "MODEL.BACKBONE.TBSI_LOC=[2, 4]"])
    assert cfg.TRAIN.LR == 1e-3
    assert cfg.MODEL.BACKBONE.TBSI_LOC == [2, 4]


@pytest.mark.parametrize("written", ["", "''", '""'])
def test_nothing_behind_the_equals_sign_is_the_empty_text(written):
    assert load_config("alpha_refine", "secm_r34").MODEL.PRETRAIN_FILE
    assert load_config("alpha_refine", "secm_r34", [f"MODEL.PRETRAIN_FILE={written}"]).MODEL.PRETRAIN_FILE == ""


def test_saved_configuration_is_read_back_to_the_same_values(tmp_path):
    cfg = load_config("ostrack", "vitb_384_mae_ce_32x4_got10k_ep100", ["TRAIN.LR=1e-5"])
    save_config(cfg, tmp_path / "deep" / "config.yaml")
    assert load_config("ostrack", str(tmp_path / "deep" / "config.yaml")) == cfg


def test_loading_twice_shares_nothing():
    first = load_config("iimf_track", TINY)
    before = copy.deepcopy(first)
    second = load_config("iimf_track", TINY)
    second.TRAIN.LR = 9.0
    second.DATA.MEAN.append(1.0)
    second.MODEL.BACKBONE.TBSI_LOC[0] = 77
    assert first == before == load_config("iimf_track", TINY)


def test_key_that_nothing_reads_is_accepted_with_one_warning(caplog):
    with caplog.at_level(logging.WARNING):
        cfg = load_config("iimf_track", TINY, ["TRAIN.F2_WEIGHT=0.7", "MODEL.BACKBONE.MID_PE=false"])
    assert cfg.TRAIN.F2_WEIGHT == 0.7
    assert [record.getMessage() for record in caplog.records] == [
        "--set: TRAIN.F2_WEIGHT is accepted for compatibility; nothing reads it"
    ]


def test_no_experiment_that_is_here_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        for path in EXPERIMENTS.glob("*/defaults.yaml"):
            for name in list_configs(path.parent.name):
                load_config(path.parent.name, name)
    assert caplog.text == ""


RELATIONS = """
SIZE: 32           # [1, 99] multiple of PATCH: side of the input
PATCH: 16          # [1, 99] side of a patch
TESTED: 32         # [1, 99] equal to SIZE, as weights have it: side in tracking
PLACES: [1, 2]     # whole [0, 9] places
SHARES: [0.1, 0.2] # [0, 1] as many as PLACES: their shares
MEAN: [0.1]        # [0, 1] 1 or 2 values: means
OLD: 1             # unread: {2, 3} nothing reads it
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SIZE: 40", "mine.yaml: SIZE: 40 is not a multiple of PATCH 16; give 32, for example"),
        ("SIZE: 48", "mine.yaml: TESTED: 32 differs from SIZE 48, as weights have it; set both alike"),
        ("PLACES: [1]", "mine.yaml: SHARES: 2 values for 1 of PLACES; give one for each"),
        ("MEAN: [0, 0, 0]", "mine.yaml: MEAN: [0, 0, 0] is not allowed; expected 1 or 2 values (default [0.1])"),
        ("OLD: 4", "mine.yaml: OLD is accepted for compatibility; nothing reads it"),
        ("{OLD: 3, SIZE: 16, TESTED: 16, PLACES: [], SHARES: [], MEAN: [0, 1]}", ""),
    ],
)
def test_rules_about_another_key(text, message, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(config, "EXPERIMENTS", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "defaults.yaml").write_text(RELATIONS)
    (tmp_path / "mine.yaml").write_text(text)
    said = []
    try:
        load_config("other", str(tmp_path / "mine.yaml"))
    except InputError as error:
        said.append(str(error))
    said += [record.getMessage() for record in caplog.records]
    assert said == ([message] if message else [])


def test_a_rule_about_a_key_that_is_not_there_is_noticed(tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text("SIZE: 32  # [1, 99] multiple of PATCH: side of the input\n")
    with pytest.raises(ValueError, match="SIZE: its comment names PATCH, which the file does not have"):
        read_schema(path)


def test_tracker_of_another_family_needs_none_of_the_one_stream_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "EXPERIMENTS", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "defaults.yaml").write_text("TRAIN:\n  LR: 0.1  # (0, 1] rate\n")
    (tmp_path / "other" / "small.yaml").write_text("TRAIN: {LR: 0.5}\n")
    assert load_config("other", "small") == {"TRAIN": {"LR": 0.5}}


@pytest.fixture
def local(tmp_path, monkeypatch):
    """local.py of training in a folder of its own."""
    monkeypatch.setattr(paths, "FILES", {kind: tmp_path / kind / "local.py" for kind in ("train", "test")})
    return tmp_path / "train" / "local.py"


def make_local(kind="train"):
    return paths.create_local_file(kind, workspace_dir=Path("/w"), data_dir=Path("/d"), save_dir=Path("/s"))


@pytest.mark.parametrize("kind", ["train", "test"])
def test_local_file_holds_every_path_as_plain_python(local, kind):
    path = make_local(kind)
    values = paths.read_local(kind)
    assert values["workspace_dir"] == "/w" and values["save_dir"] == "/s" and values["lasher_dir"] == "/d/lasher"
    assert values["photos_dir"] == ""
    names = {line.targets[0].id for line in ast.parse(path.read_text()).body if isinstance(line, ast.Assign)}
    assert names == set(values) - {paths.SOURCE} and values[paths.SOURCE] == str(path)


def test_beginning_of_a_name_is_enough_to_be_asked_back():
    with pytest.raises(InputError, match=r"'iimf' is unknown; did you mean iimf_"):
        load_config("iimf", "tiny")


def test_local_file_is_never_overwritten(local):
    make_local()
    local.write_text("save_dir = '/mine'\n")
    assert make_local() is None
    assert local.read_text() == "save_dir = '/mine'\n"
    assert paths.read_local("train")["save_dir"] == "/mine"


def test_key_that_the_local_file_leaves_out_is_empty(local):
    local.parent.mkdir()
    local.write_text('"""Mine."""\nsave_dir = "/mine"\n')
    assert paths.read_local("train")["lasher_dir"] == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("save_dir = '/a\nlasher_dir = '/b'\n", ["line 1", "is not Python", "key = 'path'"]),
        ("\nsave_dri = '/a'\n", ["line 2", "'save_dri'", "did you mean save_dir?", "correct or remove"]),
        ("save_dir = 3\n", ["line 1", "a text in quotes"]),
        ("import os\n", ["line 1", "a text in quotes"]),
        ("save_dir = os.path.join('a', 'b')\n", ["line 1", "a text in quotes"]),
        ("save_dir = '\0'\n", ["is not Python"]),
        (b"save_dir = '\xff'\n", ["is not Python"]),
    ],
)  # fmt: skip
def test_broken_local_file_is_one_clear_line(local, text, parts):
    local.parent.mkdir()
    local.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        paths.read_local("train")
    assert "\n" not in str(raised.value)
    assert all(part in str(raised.value) for part in [str(local), *parts]), raised.value


def test_missing_local_file_says_how_to_make_it(local):
    with pytest.raises(InputError, match=r"does not exist; make it with: python tracking/create_default_local_file"):
        paths.read_local("train")


def test_code_in_a_local_file_does_not_run(local, tmp_path):
    local.parent.mkdir()
    local.write_text(f"save_dir = open({str(tmp_path / 'ran')!r}, 'w').name\n")
    with pytest.raises(InputError):
        paths.read_local("train")
    assert not (tmp_path / "ran").exists()
