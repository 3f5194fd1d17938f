"""Sampling modes beside `causal`."""

import micro
import numpy as np
import pytest
import torch
from test_training_sets import samples

from lib.core.errors import InputError
from lib.datasets.sequence import Frames, Sequence
from lib.train.data.loader import build_loader
from lib.train.data.sampler import MODES, CausalPairs


class Nothing(Frames):
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        raise AssertionError


def sequence(rows, length, **known):
    boxes = np.zeros((length, 4))
    boxes[rows] = [5, 5, 10, 10]
    return Sequence("s", Nothing(), boxes, **known)


def draws(mode, video, interval, number=3000):
    rng = np.random.default_rng(0)
    pairs = MODES[mode]([[video]], [1], interval)
    return [(pair.template, pair.search) for pair in (pairs.draw(rng) for _ in range(number))]


@pytest.mark.parametrize("mode", ["trident", "stark"])
def test_both_orders_and_any_distance(mode):
    drawn = draws(mode, sequence(range(50), 50), 5)
    assert {template for template, _ in drawn} == {search for _, search in drawn} == set(range(50))
    distance = np.array([search - template for template, search in drawn])
    assert distance.max() > 40 and distance.min() < -40
    assert (distance > 0).mean() == pytest.approx(0.49, abs=0.03)


def test_search_frame_behind_needs_a_neighbour_before_it():
    rows = [0, 1, 2, 40, 41]
    later = {pair for pair in draws("stark", sequence(rows, 50), 10) if pair[0] < pair[1]}
    assert later == {(0, 1), (0, 2), (1, 2), (0, 41), (1, 41), (2, 41), (40, 41)}  # 40 has none
    assert (41, 40) in draws("stark", sequence(rows, 50), 10) and (41, 0) in draws("stark", sequence(rows, 50), 10)
    every_tenth = sequence(range(5), 5, annotated=np.arange(0, 50, 10))
    assert all(template >= search for template, search in draws("stark", every_tenth, 9))
    assert any(template < search for template, search in draws("stark", every_tenth, 10))


def test_covered_neighbour_counts_for_stark_alone():
    video = sequence([0, 40, 41], 50, visible_share=np.where(np.arange(50) == 40, 0.3, 1))
    assert (0, 41) in draws("stark", video, 10)
    assert {pair for pair in draws("trident", video, 10) if pair[0] < pair[1]} == set()
    assert not any(template == 40 for mode in ("stark", "trident") for template, _ in draws(mode, video, 10))


@pytest.mark.parametrize("mode", MODES)
def test_mode_of_the_configuration_is_used_and_seeded(mode):
    cfg = micro.config("iimf_track", f"DATA.SAMPLER_MODE={mode}", "TRAIN.NUM_WORKER=0")
    loader = build_loader(cfg, [[sequence([0, 1], 2)]] * len(cfg.DATA.TRAIN.DATASETS_RATIO), stage=0)
    assert type(loader.dataset.pairs) is MODES[mode]
    first, second = (samples(f"DATA.SAMPLER_MODE={mode}", number=4) for _ in range(2))
    assert all(torch.equal(a.search, b.search) for a, b in zip(first, second, strict=True))


def test_causal_is_the_default_and_other_names_are_refused():
    assert MODES[micro.config("iimf_track").DATA.SAMPLER_MODE] is CausalPairs
    with pytest.raises(InputError, match="expected one of causal, trident, stark"):
        micro.config("ostrack", "DATA.SAMPLER_MODE=random")
