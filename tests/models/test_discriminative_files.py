"""Files of the public weights of ATOM and the DiMP family: their names and shapes, how they are wrapped."""

import golden_discriminative as golden
import micro
import pytest
import torch

from lib.core.checkpoint import load_weights
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.models import build_model
from lib.models.weights import identify, load_state

#: configuration -> its network in the list of public names, and a small network of the same layout
FILES = {
    "dimp18": ("dimp18", "dimp"),
    "dimp50": ("dimp50", None),
    "superdimp": ("dimp50", None),
    "prdimp50": ("prdimp50", None),
    "atom": ("atom_resnet18", "atom"),
}


def schema(name):
    return dict(golden.read("base_tracker_schemas")[FILES[name][0]]["schema"])


def public(name, model):
    """The weights of a small network under the public names; what it leaves out is there, too."""
    own = model.state_dict()
    return {key: own.get(model.rename(key), torch.zeros(2)).clone() for key in schema(name)}


@pytest.mark.parametrize("name", FILES)
def test_every_public_name_has_its_place_and_shape(name):
    folder = "atom" if name == "atom" else "dimp"
    with torch.device("meta"):
        model = build_model(load_config(folder, name, ["MODEL.PRETRAIN_FILE=''"]))
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    named = {model.rename(key): shape for key, shape in schema(name).items()}
    left_out = {key for key in named if key.startswith(("backbone.layer4.", "backbone.fc."))}
    assert left_out and {key: shape for key, shape in named.items() if key not in left_out} == shapes


@pytest.mark.parametrize("name", ["dimp18", "atom"])
@pytest.mark.parametrize("old", [False, True])
def test_files_of_the_published_training(tmp_path, name, old):
    model, other = micro.model(FILES[name][1]), micro.model(FILES[name][1], seed=1)
    weights = public(name, model)
    assert identify(weights) == FILES[name][1]
    content = {"epoch": 50, "actor_type": "x", "net_type": "y", "net": weights, "optimizer": {"lr": 0.1}, "stats": None}
    torch.save(content, tmp_path / f"{name}.pth", _use_new_zipfile_serialization=not old)
    load_state(other, load_weights(tmp_path / f"{name}.pth"), "file")
    assert all(value.equal(model.state_dict()[key]) for key, value in other.state_dict().items())
    del weights["bb_regressor.iou_predictor.weight"]
    with pytest.raises(InputError, match=r"file: lacks iou_net\.iou_predictor\.weight; use the configuration"):
        load_state(other, weights, "file")
