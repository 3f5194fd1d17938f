"""Weights of another network are recognised, and of the right one nothing is missing and nothing left over."""

from itertools import permutations

import micro
import pytest
import torch
from compare import message_of, same

from lib.layers.timm_parts import timm
from lib.models import TRACKERS as REGISTRY
from lib.models import network_class
from lib.models.weights import identify, load_state

TRACKERS = ("ostrack", "tbsi_track", "iimf_track")


@pytest.mark.parametrize(("held", "wanted"), list(permutations(TRACKERS, 2)))
def test_checkpoint_of_another_network_says_which(held, wanted):
    message = message_of(load_state, micro.model(wanted), micro.model(held).state_dict(), "x.pth")
    assert message.startswith(f"x.pth: holds {held}, the configuration asks for {wanted}; set MODEL.NAME")


@pytest.mark.parametrize("wanted", TRACKERS)
def test_classifier_is_no_tracker(wanted):
    vit = timm.create_model("vit_tiny_patch16_224", depth=1)
    assert "x.pth: holds a plain ViT" in message_of(load_state, micro.model(wanted), vit.state_dict(), "x.pth")


def test_other_shape_missing_and_unexpected_keys_are_named():
    model = micro.model("iimf_track")
    state = model.state_dict()
    key = "backbone.blocks.2.mlp.fc1.weight"
    message = message_of(load_state, model, {**state, key: torch.zeros(3, 3)}, "x.pth")
    assert f"x.pth: {key}: is [3, 3], this configuration needs [96, 24]" in message
    fewer = {name: value for name, value in state.items() if not name.startswith(key)}
    assert f"lacks {key}; use the configuration" in message_of(load_state, model, fewer, "x.pth")
    more = {**state, "odd": state[key], "odder": state[key]}
    assert "has the unexpected odd and 1 more" in message_of(load_state, model, more, "x.pth")
    assert same(model.state_dict(), state), "a refused file changes nothing"


def test_what_never_reaches_an_output_is_dropped_by_name_and_nothing_else():
    model = micro.model("iimf_track-last-block", seed=1)
    state = micro.model("iimf_track-last-block").state_dict()
    unused = [
        "backbone.cls_token", "backbone.pos_embed", "backbone.middle_modality_x", "backbone.middle_fuse_z.0.weight",
        "backbone.sp_sh_layer.t_fusion_1.0.weight", "backbone.tbsi_layers.0.ca_s2t_vi2sh.attn_reshape.proj_4.bias",
        "backbone.tbsi_layers.1.ca_t2t_f2f.norm1.weight",
    ]  # fmt: skip
    load_state(model, {**state, **dict.fromkeys(unused, torch.zeros(1))})
    assert same(model.state_dict(), state)
    other = "backbone.tbsi_layers.0.ca_t2t_f2f.extra"  # a layer before the last block, whose template is read
    assert other in message_of(load_state, model, {**state, other: torch.zeros(1)}, "x")


@pytest.mark.parametrize("variant", micro.VARIANTS)
def test_weights_are_recognised_as_their_network_s(variant):
    network = identify(micro.model(variant).state_dict())
    own = network_class(micro.config(variant))
    assert network in REGISTRY and own.marks
    assert network_class(micro.config(network)).marks == own.marks, "siamrpn and dasiamrpn have the same weights"


@pytest.mark.parametrize("keys", [(), ("conv1.weight",), ("head.weight", "rpn.weight")])
def test_other_weights_are_of_no_network(keys):
    assert identify(keys) == "an unknown network"
