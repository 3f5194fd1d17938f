"""Options that most recipes leave off, or at equal values: each reaches the part that it is meant for."""

import micro
import numpy as np
import pytest
import torch

from lib.layers.timm_parts import DropPath
from lib.layers.transformer.attention import CastBlock, GatherBlock, SpreadBlock
from lib.layers.transformer.candidates import CandidateTokens, choose_judges, eliminate
from lib.layers.transformer.vit import run_block
from lib.models import build_model

JUDGES = ("ostrack-ce-GT_BOX", "DATA.TEMPLATE.SIZE=64", "TEST.TEMPLATE_SIZE=64")


def rates(module):
    return {round(part.drop_prob, 6) for part in module.modules() if isinstance(part, DropPath)}


@pytest.mark.parametrize(
    ("given", "expected"), [([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]), ([0.1], [0.1, 0, 0]), ([], [0, 0, 0])]
)
def test_every_mixing_layer_has_its_own_rate_of_stochastic_depth(given, expected):
    three = build_model(micro.config("iimf_track", f"TRAIN.TBSI_DROP_PATH={given}")).backbone
    assert [rates(three.sp_sh_layer), *map(rates, three.tbsi_layers)] == [{rate} for rate in expected]
    two = build_model(micro.config("tbsi_track", f"TRAIN.TBSI_DROP_PATH={given[:2]}")).backbone
    assert [rates(layer) for layer in two.tbsi_layers] == [{rate} for rate in expected[:2]]


@pytest.mark.parametrize("kind", [CastBlock, GatherBlock, SpreadBlock])
def test_stochastic_depth_drops_attention_and_mlp_of_a_mixing_block(kind, monkeypatch):
    monkeypatch.setattr(DropPath, "forward", lambda self, x: x * 0)
    block = kind(8, 2, 4.0, 0.5)
    query, first, second = torch.randn(3, 2, 5, 8)
    given = (query, first) if kind is CastBlock else (query, first, second)
    residual = query + first if kind is SpreadBlock else query
    assert torch.equal(block(*given), residual), "nothing is left of the two branches where both are dropped"


@pytest.mark.parametrize("first_row", [0, 5])
def test_stochastic_depth_drops_attention_and_mlp_of_a_block_whichever_of_its_rows_are_computed(first_row, monkeypatch):
    monkeypatch.setattr(DropPath, "forward", lambda self, x: x * 0)
    block = build_model(micro.config("ostrack", "TRAIN.DROP_PATH_RATE=0.3")).backbone.blocks[-1].train()
    z, x = torch.randn(2, 5, 24), torch.randn(2, 9, 24)
    tokens = torch.cat([z, x], dim=1)
    assert torch.equal(run_block(block, tokens, first_row), tokens[:, first_row:])
    left = eliminate(block, CandidateTokens(z, x, torch.arange(9).expand(2, -1)), torch.full((2, 5), 0.2), 1.0)
    assert torch.equal(left.z, z) and torch.equal(left.x, x)


@pytest.mark.parametrize("variant", ["ostrack", "tbsi_track", "iimf_track"])
def test_blocks_drop_more_the_deeper_they_are(variant):
    blocks = build_model(micro.config(variant, "TRAIN.DROP_PATH_RATE=0.3")).backbone.blocks
    assert [rates(block) for block in blocks] == [set(), {0.1}, {0.2}, {0.3}]


@pytest.mark.parametrize(
    ("variant", "names"),
    [
        *((name, "giou l1 focal") for name in ("ostrack", "tbsi_track", "iimf_track")),
        *((name, "cls loc") for name in micro.SIAMESE),
        *((name, "cls box rank") for name in ("fear", "iimf_lite")),
    ],
)
def test_every_weight_scales_its_own_loss(variant, names):
    batch, losses = micro.batch(variant), []
    weights = dict(zip(names.split(), (2.0, 3.0, 5.0), strict=False))
    for factors in (dict.fromkeys(weights, 1.0), weights):
        changes = [f"TRAIN.{name.upper()}_WEIGHT={factor}" for name, factor in factors.items()]
        with torch.no_grad():
            losses.append(micro.model(variant, *changes).step(batch)[0])
    plain, weighted = losses
    assert set(weights) <= set(plain) == set(weighted)
    for name, loss in plain.items():
        assert weighted[name].item() == pytest.approx(loss.item() * weights[name.removeprefix("shared_")], rel=1e-4)


def test_the_target_s_place_in_a_training_template_chooses_the_judges(monkeypatch):
    network, seen = micro.model(*JUDGES), []
    embed, batch = network.embed, micro.batch("ostrack")
    monkeypatch.setattr(network, "embed", lambda *given: (seen.append(embed(*given)), seen[-1])[1])
    boxes = torch.tensor([[0.0, 0.0, 0.25, 0.25], [0.5, 0.5, 0.25, 0.5]])
    network.step(batch._replace(template=torch.zeros(2, 1, 3, 64, 64), template_box=boxes))
    places = [torch.nonzero(row.view(4, 4)).tolist() for row in seen[0].judges]
    assert places == [[[0, 0]], [[2, 2], [3, 2]]]


def test_the_target_s_shape_chooses_the_judges_in_tracking():
    (target,) = micro.tracker(*JUDGES).start(
        [[np.zeros((120, 160, 3), np.uint8)]], [np.array([60.0, 40.0, 40.0, 12.0])]
    )
    expected = choose_judges("GT_BOX", 4, torch.tensor([[0.5, 0.5, 0.9, 0.27]]))
    assert torch.equal(target.state.memory.judges, expected) and (expected > 0).sum() == 8


def test_the_rules_of_distractors_reach_what_is_learned():
    changes = ("ALPHA=0.3", "ETA=0.02", "BETA=series", "DECAY=0.7")
    learning = micro.tracker("dasiamrpn", *(f"TEST.DISTRACTOR.{change}" for change in changes)).method.learning
    assert (learning.alpha, learning.eta, learning.series, learning.decay) == (0.3, 0.02, True, 0.7)
