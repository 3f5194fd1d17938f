"""SiamDMA in the trainer: its recipes, what learns when and how fast, curves, runs that go on, overfitting."""

import micro
import numpy as np
import pytest
import runs
import scenes
import test_training as basics
import torch

from lib.core.config import list_configs, load_config
from lib.datasets import BENCHMARKS, DATASETS, TRAINING
from lib.models import build_model
from lib.models.base import PairBatch
from lib.train import run
from lib.train.optim import build_optimizer
from lib.train.schedule import build_scheduler, warm_up

SHORT = [
    "TRAIN.BATCH_SIZE=3", "DATA.TRAIN.SAMPLE_PER_EPOCH=6", "DATA.VAL.SAMPLE_PER_EPOCH=3", "TRAIN.EPOCH=3",
    "TRAIN.NUM_WORKER=0", "TRAIN.PRINT_INTERVAL=1", "TRAIN.VAL_EPOCH_INTERVAL=3", "DATA.SEARCH.SHIFT=8",
    "DATA.TRAIN.DATASETS_NAME=[x]", "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.VAL.DATASETS_NAME=[x]",
    "DATA.VAL.DATASETS_RATIO=[1]",
]  # fmt: skip
FROZEN = ["MODEL.PRETRAIN_FILE=x", "TRAIN.UNFREEZE_EPOCH=2"]


def rates(name):
    """The rate of every epoch of a recipe, for what is not of the trunk."""
    cfg = load_config("siamdma", name)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.TRAIN.LR)
    scheduler, seen = build_scheduler(cfg, optimizer), []
    for epoch in range(cfg.TRAIN.EPOCH):
        seen.append(optimizer.param_groups[0]["lr"] * warm_up(cfg, 10 * epoch, 10))
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def test_rates_of_the_paper():
    expected = [0.001, 0.00138, 0.001904, 0.002627, 0.003624, 0.005, 0.003598, 0.00259, 0.001864, 0.001341, 0.000965,
                0.000695, 0.0005, 0.00036, 0.000259, 0.000186, 0.000134, 0.000097, 0.000069, 0.00005]  # fmt: skip
    for name in ("siamdma", "baseline", "cdsa", "cdsa_aux"):
        np.testing.assert_allclose(rates(name), expected, atol=5e-7)
        assert load_config("siamdma", name).TRAIN.UNFREEZE_EPOCH == 11, "epochs 0 to 9 of the paper are 1 to 10"


def test_rates_of_the_release():
    found = rates("release")
    assert found[0] == 0.0015 and len(found) == 25
    np.testing.assert_allclose(found[1:15] / found[:14], 0.85)
    np.testing.assert_allclose(found[15:] / found[14:-1], 0.82)


def test_fine_tuning_has_one_rate_and_the_paper_s_sets():
    sets = {
        "gtot": (["RGBT234"], []),
        "vot20rgbt": (["GTOT", "RGBT234"], ["VOT20RGBT"]),
        "lasher": (["LasHeR_train882"], []),
        "vtuav": (["VTUAV_ST_train", "VTUAV_LT_train"], []),
        "leaks_test_sets": (["RGBT234", "LasHeR_train", "GTOT"], []),
    }
    found = {name.removeprefix("finetune_") for name in list_configs("siamdma") if name.startswith("finetune_")}
    assert found == set(sets)
    for name, (training, without) in sets.items():
        cfg = load_config("siamdma", f"finetune_{name}")
        assert (training, without) == (cfg.DATA.TRAIN.DATASETS_NAME, cfg.DATA.TRAIN.WITHOUT)
        assert set(rates(f"finetune_{name}")) == {5e-5} and cfg.TRAIN.UNFREEZE_EPOCH == 15
        assert {one.lower() for one in [*training, *without, *cfg.DATA.VAL.DATASETS_NAME]} <= set(DATASETS)


def test_no_recipe_trains_on_the_benchmark_that_it_is_named_after():
    """But the one whose name says so."""
    for name in list_configs("siamdma"):
        names = [one.lower() for one in load_config("siamdma", name).DATA.TRAIN.DATASETS_NAME]
        trained = {TRAINING.get(one, one) for one in names}
        if name == "finetune_leaks_test_sets":
            assert len(trained & BENCHMARKS) == 2
        elif trained & BENCHMARKS:
            own = name.removeprefix("finetune_")
            assert own in BENCHMARKS and own not in trained


def test_steps_of_the_ablation_differ_in_their_parts_alone():
    steps = {"baseline": (0, 0, 0), "cdsa": (1, 0, 0), "cdsa_aux": (1, 1, 0), "siamdma": (1, 1, 1)}
    small = {"synthetic_small_baseline": (0, 0, 0), "synthetic_small_cdsa": (1, 0, 0),
             "synthetic_small_cdsa_aux": (1, 1, 0), "synthetic_small_full": (1, 1, 1)}  # fmt: skip
    for group in (steps, small):
        rest = []
        for name, parts in group.items():
            cfg = load_config("siamdma", name)
            assert tuple(int(cfg.MODEL[part].pop("USE")) for part in ("CDSA", "AUX", "DLBM")) == parts
            rest.append({key: value for key, value in cfg.items() if key != "DATA"} | {"search": cfg.DATA.SEARCH})
        assert all(one == rest[0] for one in rest)


@pytest.fixture
def make_trainer(tmp_path, monkeypatch):
    """Trainers over squares, in this process and on the CPU."""
    for name in ("load_training_set", "load_validation_set"):
        monkeypatch.setattr(run, name, lambda name, folders: [basics.squares(), basics.squares(seed=1)])

    def make(*changes, **more):
        cfg = micro.config("siamdma", *SHORT, *changes)
        run.seed_everything(cfg.TRAIN.SEED)
        return basics.build(cfg, tmp_path, **more)

    return make


def changed(before, after):
    """First pieces of the names of what differs; of the trunk the stage."""
    names = [name for name in before if not name.endswith("tracked") and not torch.equal(before[name], after[name])]
    return {name.split(".")[3] if name.startswith("backbone.") else name.split(".")[0] for name in names}


def test_trunks_stand_still_and_then_learn_with_batch_norm_but_for_stem_and_res2(make_trainer):
    trainer = make_trainer(*FROZEN, "TRAIN.EPOCH=1")
    start = basics.weights(trainer)
    trainer.run()
    first = basics.weights(trainer)
    assert changed(start, first) >= {"neck", "attention", "stream_heads", "fusion", "head"}
    assert not changed(start, first) & {"conv1", "bn1", "layer1", "layer2", "layer3"}
    trainer.cfg.TRAIN.EPOCH = 2
    trainer.run()
    second = basics.weights(trainer)
    assert changed(first, second) >= {"neck", "head", "layer2", "layer3"}
    assert not changed(first, second) & {"conv1", "bn1", "layer1"}
    statistics = [name for name in first if name.startswith("backbone.streams.") and name.endswith("running_mean")]
    assert statistics and not any(torch.equal(first[name], second[name]) for name in statistics)


def test_trunks_have_their_own_rates():
    cfg = micro.config("siamdma", *FROZEN, "TRAIN.LR=0.005")
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.Adam) and not isinstance(optimizer, torch.optim.AdamW)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [{names[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-3, 1e-3, 5e-4])
    assert groups[1] == {name for name in names.values() if name.startswith("backbone.streams.1.")}
    assert groups[2] == {name for name in names.values() if name.startswith(("backbone.stems.", "backbone.streams.0."))}
    assert sum(map(len, groups)) == len(names) and {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}


def test_one_optimizer_serves_both_phases(make_trainer):
    """What the author's code does otherwise: a new Adam where the trunks begin to learn."""
    trainer = make_trainer(*FROZEN, "TRAIN.EPOCH=2")
    trainer.run()
    steps = {
        name: int(trainer.optimizer.state[parameter]["step"])
        for name, parameter in trainer.model.named_parameters()
        if parameter in trainer.optimizer.state
    }
    assert {count for name, count in steps.items() if name.startswith("backbone.streams.")} == {2}
    assert {count for name, count in steps.items() if not name.startswith("backbone.")} == {4}
    assert not any(name.startswith("backbone.stems.") for name in steps)


def test_run_that_goes_on_is_the_run_that_never_stopped(make_trainer, tmp_path):
    changes = [*FROZEN, "DATA.DEGRADATION=0.5"]
    whole = make_trainer(*changes)
    whole.run()
    second = make_trainer(*changes)
    runs.resume(second, tmp_path / "SiamDMA_ep0001.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))


def test_curves_show_losses_gains_levels_rates_and_masks(make_trainer):
    trainer = make_trainer("TRAIN.EPOCH=1", "TRAIN.VAL_EPOCH_INTERVAL=1", run_log=basics.MemoryLog())
    trainer.run()
    seen = {name for name, _, _ in trainer.run_log.scalars}
    five = {"loss", "cls", "loc", "cls_visible", "cls_infrared"}
    assert {f"{stage}/{name}" for stage in ("train", "val") for name in five} <= seen
    assert {"train/lr_0", "train/lr_1", "train/lr_2", "val/iou", "train/iou_infrared", "train/score_video"} <= seen
    gains = {name for name in seen if "gain" in name}
    levels = {name for name in seen if "_weight" in name}
    assert len(gains) == 2 * 6 + 8 and len(levels) == 2 * 2 + 2 * 2
    values = [value for name, value, _ in trainer.run_log.scalars if name == "train/head.cls_weight.0"]
    assert 0.4 < values[-1] < 0.6
    shown = {name: array.shape for name, array, _ in trainer.run_log.histograms}
    assert shown == {"val/mask_visible": (3, 19, 19), "val/mask_infrared": (3, 19, 19)}
    ((name, picture, _, _),) = trainer.run_log.images
    assert name == "val/pairs" and picture.shape == (3 * 159, (2 * 2 + 1 + 2) * 159, 3)


def eight_pairs(size):
    """Of SiamRPN's test, seen by two cameras; each object is visible in one of them alone in two pairs."""
    seen = scenes.eight_pairs()
    template, search = seen.template.expand(-1, 2, -1, -1, -1).clone(), seen.search.expand(-1, 2, -1, -1, -1).clone()
    generator = torch.Generator().manual_seed(0)
    for pair, camera in ((0, 0), (1, 1)):
        noise = torch.randint(0, 256, search[pair, camera].shape, generator=generator, dtype=torch.uint8)
        search[pair, camera] = noise
    margin = (255 - size) // 2
    box = (seen.search_box * 255 - torch.tensor([margin, margin, 0, 0])) / size
    cut = search[..., margin : margin + size, margin : margin + size].contiguous()
    return PairBatch(template, seen.template_box, cut, box, positive=torch.ones(8, dtype=torch.bool))


def learn(model, batch, steps, rate):
    """Losses and figures before and after some steps on the pairs."""
    batch = batch._replace(template=model.normalize(batch.template), search=model.normalize(batch.search))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    ends = []
    for step in range(steps + 1):
        losses, figures = model.step(batch)
        if step in (0, steps):
            ends.append({name: value.item() for name, value in losses.items()} | {"iou": figures["iou"][0].item() / 8})
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    return ends


@pytest.mark.slow
def test_eight_pairs_are_learned_by_heart():
    """By a narrow network; in two of the pairs one camera shows noise."""
    torch.manual_seed(0)
    model = build_model(micro.config("siamdma", "DATA.SEARCH.SIZE=175", "TEST.SEARCH_SIZE=175"))
    before, after = learn(model.train(), eight_pairs(175), 24, 0.01)
    assert before["loc"] > 0.9 and before["cls"] > 0.5 and before["iou"] < 0.1
    assert after["loc"] < 0.65 and after["cls"] < 0.1 and after["iou"] > 0.4, after


@pytest.mark.slow
@pytest.mark.long
def test_the_full_network_learns_eight_pairs_by_heart():
    """53.8 M random weights, every one of which learns."""
    torch.manual_seed(0)
    changes = ["MODEL.PRETRAIN_FILE=", "DATA.SEARCH.SIZE=175", "TEST.SEARCH_SIZE=175"]
    model = build_model(load_config("siamdma", "siamdma", changes))
    assert sum(part.numel() for part in model.parameters()) == 53_758_809
    before, after = learn(model.train(), eight_pairs(175), 36, 0.001)
    assert before["loc"] > 0.9 and before["cls"] > 0.5 and before["iou"] < 0.1
    assert after["loc"] < 0.65 and after["cls"] < 0.1 and after["iou"] > 0.4, after
