"""Configurations that name a refiner: they are their base tracker's, and run with it."""

from pathlib import Path

import micro
import numpy as np
import pytest
import torch
from fake_model import follow_alone, moving_sequence
from safetensors.torch import save_file

from lib.core.config import flatten, load_config
from lib.core.paths import ROOT
from lib.core.schema import read_yaml
from lib.models import build_model, network_class
from lib.test.evaluation.open import Refine, open_run
from lib.test.tracker.refined import Refined

SEQUENCE = moving_sequence("right", 4, (4, 0))

#: folder/configuration -> the configuration without its refiner, and a small variant of the network
BASES = {
    "atom/aratom": ("atom", "atom"),
    "dimp/ardimp50": ("dimp50", "dimp"),
    "dimp/ardimpsuper": ("superdimp", "dimp"),
    "eco/areco": ("eco", "eco"),
    "rt_mdnet/arrtmdnet": ("rt_mdnet", "rt_mdnet"),
    "siamrpnpp/arsiamrpn": ("siamrpn_r50_l234_dwxcorr", "siamrpnpp"),
}


def refined():
    """All configurations that name a refiner."""
    files = sorted(Path(ROOT, "experiments").glob("*/*.yaml"))
    named = [file for file in files if read_yaml(file).get("TEST", {}).get("REFINER")]
    return {f"{file.parent.name}/{file.stem}" for file in named}


def test_each_is_its_base_trackers_but_for_the_refiner():
    assert refined() == set(BASES)
    for name, (base, _) in BASES.items():
        folder, config = name.split("/")
        own, plain = flatten(load_config(folder, config)), flatten(load_config(folder, base))
        assert own == plain | {"TEST.REFINER": own["TEST.REFINER"]}
        assert network_class(load_config(*own["TEST.REFINER"].split("/"))).refines


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in BASES])
def test_runs_with_its_refiner(tmp_path, name):
    (folder, config), (_, variant) = name.split("/"), BASES[name]
    refiner = micro.VARIANTS["alpha_refine"][2]
    changes = micro.VARIANTS[variant][2]
    torch.manual_seed(0)
    base = build_model(load_config(folder, config, changes))
    for file, network in (("base", base), ("refiner", micro.model("alpha_refine"))):
        save_file(network.state_dict(), tmp_path / f"{file}.safetensors")
    asked = Refine(checkpoint=tmp_path / "refiner.safetensors", changes=tuple(refiner))
    options = {"checkpoint": tmp_path / "base.safetensors", "device": "cpu"}
    tracker = open_run(folder, config, changes, refine=asked, **options).load()
    plain = open_run(folder, config, changes, refine=Refine("none"), **options).load()
    assert isinstance(tracker, Refined) and not isinstance(plain, Refined)
    boxes = [follow_alone(one, SEQUENCE)[1:] for one in (tracker, plain)]
    assert np.isfinite(boxes).all() and np.abs(boxes[0][0] - boxes[1][0]).max() > 0.1, "the refiner changes the box"
