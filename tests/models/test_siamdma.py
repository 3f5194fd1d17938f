"""SiamDMA: the author's numbers at every stage, tracked steps, the ablation's parts, weights under every name."""

import zlib

import golden_siamdma as golden
import micro
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.layers.ban import boxes_from_sides, grid_points
from lib.layers.correlation import correlate_by_places, correlate_depthwise
from lib.layers.cross_domain import CrossDomainSiameseAttention, channel_map, tokens
from lib.layers.level_fusion import DualLevelFusionAttention, side_by_side
from lib.layers.resnet import ResNetTrunk, widen_projections
from lib.models import build_method, build_model
from lib.models.siamdma import Memory, Prediction, SiamDMA
from lib.models.weights import identify, load_state
from lib.test.tracker.crop_tracker import CropTracker

LEVELS = ("res3", "res4")
IMAGES = [(time, own, camera) for time in "zx" for own, camera in enumerate("vi")]


@pytest.fixture(scope="module")
def stages():
    """The recipe's network and its inputs behind the neck: template [2, L, 2, C, 7, 7], search [2, L, 2, C, 31, 31]."""
    model = golden.author_model()
    template, search = golden.inputs()
    with torch.inference_mode():
        maps = {time: model.backbone(image) for time, image in (("z", template), ("x", search))}
        features = {time: model.neck(maps[time], template=time == "z") for time in "zx"}
    return model, maps, features


def expect(name, tensor):
    assert golden.worst(tensor, golden.read("siamdma")["stages"][name]) <= 1, name


@pytest.mark.slow
@torch.inference_mode()
def test_weights_of_the_recipe():
    known = golden.read("siamdma")["weights"]
    floats = {key: value for key, value in golden.author_weights().items() if value.is_floating_point()}
    crc = 0
    for key in sorted(floats):
        crc = zlib.crc32(floats[key].numpy().tobytes(), crc)
    assert crc == known["digest"]["crc32_sorted_keys_float32_bytes"]


@pytest.mark.slow
@torch.inference_mode()
def test_trunk_and_neck(stages):
    _, maps, features = stages
    for time, own, camera in IMAGES:
        for place, level in enumerate(LEVELS):
            expect(f"backbone.{time}_{camera}.{level}", maps[time][3 + place][:, own])
            expect(f"neck.{time}_{camera}.{level}", features[time][:, place, own])


@pytest.mark.slow
@torch.inference_mode()
def test_attention(stages):
    model, _, features = stages
    for place, level in enumerate(LEVELS):
        part, own_features = model.attention[level], {time: features[time][:, place] for time in "zx"}
        channels = {time: channel_map(own_features[time], "danet") for time in "zx"}
        memory = part.look(own_features["z"])
        out = dict(zip("zx", part(own_features["x"], own_features["z"], *memory), strict=True))
        expect(f"cdsa.{level}.channel_map.z_v (B,256,256)", channels["z"][:, 0])
        expect(f"cdsa.{level}.channel_map.x_i (B,256,256)", channels["x"][:, 1])
        for time, own, camera in IMAGES:
            image, both = own_features[time][:, own], own_features[time].unbind(1)
            queries = [tokens(query(one)) for query, one in zip(part.queries, both, strict=True)]
            name, other = f"cdsa.{level}.{time}_{camera}", "zx".replace(time, "")
            if (time, camera) in (("z", "v"), ("x", "i")):
                expect(f"cdsa.{level}.query.{time}_{camera} (B,N,32)", queries[own])
            expect(f"{name}.S_self", image + part.within[own](queries[own], image))
            expect(f"{name}.S_mode", image + part.across[own](queries[1 - own], image))
            expect(f"{name}.C_self", image + part.by_channels(channels[time], own_features[time])[:, own])
            expect(f"{name}.C_time", image + part.by_channels(channels[other], own_features[time])[:, own])
            expect(f"{name}.out", out[time][:, own])


@pytest.mark.slow
@torch.inference_mode()
def test_heads_and_fusion(stages):
    model, _, features = stages
    z, x = model.attend(model.remember(features["z"]), features["x"])
    logits = torch.stack([head(z[:, :, k], x[:, :, k]) for k, head in enumerate(model.stream_heads)], 1)
    masks = model.find_masks(logits)
    templates, searches = model.fusion(z, x, masks)
    for own, camera in enumerate("vi"):
        for place, level in enumerate(LEVELS):
            block = model.stream_heads[own].levels[level]
            expect(f"aux_{camera}.{level}.logits", block(z[:, place, own], x[:, place, own]))
        expect(f"aux_{camera}.logits", logits[:, own])
        expect(f"aux_{camera}.prob", logits[:, own].softmax(1)[:, 1])
        expect(f"padding_conv.mask_{camera}", masks[:, own])
    source = side_by_side(masks[:, None] * x)
    for place, level in enumerate(LEVELS):
        for time, gates, shown in (
            ("z", model.fusion.template, side_by_side(z)[place]),
            ("x", model.fusion.search, source[place]),
        ):
            channel, spatial = gates(shown)
            expect(f"dlfa.{level}.{time}.channel_gate", channel)
            expect(f"dlfa.{level}.{time}.spatial_gate", spatial)
        expect(f"dlfa.{level}.z.out", templates[place])
        expect(f"dlfa.{level}.x.out", searches[place])
        blocks = model.head.levels[level]
        expect(f"head.{level}.cls", blocks["cls"](templates[place], searches[place]))
        expect(f"head.{level}.loc_raw (before scale, exp)", blocks["loc"](templates[place], searches[place]))


@pytest.mark.slow
@torch.inference_mode()
def test_whole_network_and_template_update():
    """The update's new template is that of the other sample."""
    model = golden.author_model()
    method = build_method(model, load_config("siamdma", "release"))
    template, search = golden.inputs()
    memory = model.embed(template)
    found = model(memory, search)
    expect("head.cls", found.logits)
    expect("head.loc", found.distances)
    expect("aux_v.logits", found.stream_logits[:, 0])
    expect("padding_conv.mask_i", found.masks[:, 1])
    updated = method.merge_memory(memory, Memory(*(part.flip(0) for part in memory)))
    found = model(updated, search)
    expect("template_update.neck_after (res3 v)", updated.features[:, 0, 0])
    expect("template_update.neck_after (res4 i)", updated.features[:, 1, 1])
    expect("template_update.head.cls", found.logits)
    expect("template_update.head.loc", found.distances)
