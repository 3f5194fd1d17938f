"""Layers of Siamese trackers with several levels and two cameras: what they are at the start, what they are made of."""

import importlib.util

import pytest
import torch
from torch.nn.functional import conv2d

from lib.layers.correlation import correlate_by_places, correlate_depthwise
from lib.layers.normalize import GreyInfrared, RawBGR
from lib.layers.siamese.ban import LevelHead, MultiBANHead, boxes_from_sides, grid_points
from lib.layers.siamese.cross_domain import CrossDomainSiameseAttention, SpatialModulation, channel_map, tokens
from lib.layers.siamese.level_fusion import DualLevelFusionAttention, PaddingConv
from lib.layers.siamese.neck import crop_middle
from lib.layers.trunks.resnet import ResNetLevels, ResNetTrunk, widen_projections


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomised(module, seed=0):
    """With every number random, running statistics too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator)
                value.add_(noise.abs() if key.endswith("running_var") else noise, alpha=0.1)
    return module.eval()


@pytest.mark.parametrize(("last", "levels"), [(3, [3]), (4, [3, 4]), (5, [3, 4, 5])])
def test_every_level_has_stride_8(last, levels):
    trunk = ResNetTrunk(last, 0.0625, streams=2).eval()
    with torch.no_grad():
        maps = trunk(images(1, 2, 3, 127, 127))
    assert list(maps) == levels
    assert [maps[level].shape for level in levels] == [(1, 2, 4 * 4 * 2 ** (level - 2), 15, 15) for level in levels]


def test_streams_share_the_stem_and_nothing_behind_it():
    trunk, image = randomised(ResNetTrunk(3, 0.0625, streams=2)), images(1, 1, 3, 127, 127).expand(-1, 2, -1, -1, -1)
    apart = randomised(ResNetTrunk(3, 0.0625, streams=2, shared_stem=False), seed=1)
    own = {key.replace("stems.1.", "stems.0."): value for key, value in trunk.state_dict().items()}
    apart.load_state_dict({key: own[key.replace("stems.1.", "stems.0.")] for key in apart.state_dict()})
    with torch.no_grad():
        found = trunk(image)[3]
        torch.testing.assert_close(apart(image)[3], found)
    assert not torch.allclose(found[:, 0], found[:, 1])
    assert len(trunk.stems) == 1 and len(apart.stems) == 2


def test_stages_that_do_not_learn_keep_their_statistics():
    trunk = ResNetTrunk(4, 0.0625, streams=2).train()
    stages = {"conv1": 1, "layer1": 2, "layer2": 3, "layer3": 4}
    for learning in range(5):
        trunk.learn_last(learning)
        before = {key: value.clone() for key, value in trunk.named_buffers() if key.endswith("running_mean")}
        trunk.train()(images(2, 2, 3, 127, 127))
        for key, value in trunk.named_buffers():
            if key in before:
                stage = stages[key.split(".")[2].replace("bn1", "conv1")]
                assert torch.equal(before[key], value) == (stage <= 4 - learning), key
        idle = {stages[name.split(".")[2].replace("bn1", "conv1")] for name, part in trunk.named_parameters()
                if not part.requires_grad}  # fmt: skip
        assert idle == set(range(1, 5 - learning))


def test_projections_of_torchvision_are_read_where_the_convolution_beside_them_reads():
    """Level 3 is torchvision's on an input shifted by a pixel, which its padded convolution needs; away from the
    border."""
    levels = randomised(ResNetLevels(3, 0.0625).double())
    block = levels.layer2[0]
    plain = {"layer2.0.downsample.0.weight": images(32, 16, 1, 1).double()}
    wide = widen_projections(plain)["layer2.0.downsample.0.weight"]
    assert wide.shape == (32, 16, 3, 3) and torch.equal(wide[:, :, 1:2, 1:2], next(iter(plain.values())))
    block.downsample[0].weight.data = wide
    x = images(1, 16, 32, 32).double()
    with torch.no_grad():
        shifted = x[:, :, 1:, 1:]
        y = block.bn1(block.conv1(shifted)).relu()
        y = conv2d(y, block.conv2.weight, stride=2, padding=1)
        y = block.bn3(block.conv3(block.bn2(y).relu()))
        expected = (y + block.downsample[1](conv2d(shifted, next(iter(plain.values())), stride=2))).relu()
        torch.testing.assert_close(block(x)[:, :, 1:14, 1:14], expected[:, :, 1:14, 1:14])


def test_correlation_of_each_channel_with_its_own_kernel():
    features, kernels = images(3, 5, 9, 8), images(3, 5, 4, 3, seed=1)
    expected = torch.stack(
        [torch.stack([conv2d(features[b, c][None, None], kernels[b, c][None, None])[0, 0] for c in range(5)])
         for b in range(3)]
    )  # fmt: skip
    torch.testing.assert_close(correlate_depthwise(features, kernels), expected)
    torch.testing.assert_close(correlate_by_places(features, kernels), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(correlate_depthwise(features, kernels), expected)
    assert correlate_depthwise(features.bfloat16(), kernels.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("residuals", [4, 1])
def test_attention_begins_as_a_multiple_of_the_features(residuals):
    part = CrossDomainSiameseAttention(16, residuals=residuals)
    z, x = images(2, 2, 16, 7, 7), images(2, 2, 16, 13, 13, seed=1)
    with torch.no_grad():
        template, search = part(x, z, *part.look(z))
    assert torch.equal(template, residuals * z) and torch.equal(search, residuals * x)


def test_attention_of_every_image_by_hand():
    """Each of the four images: its places seen from itself and from the other camera, its channels from itself and from
    the other time."""
    part = randomised(CrossDomainSiameseAttention(16).double())
    both = {"z": images(1, 2, 16, 3, 3).double(), "x": images(1, 2, 16, 4, 4, seed=1).double()}
    with torch.no_grad():
        found = dict(zip("zx", part(both["x"], both["z"], *part.look(both["z"])), strict=True))
        for time, other in ("zx", "xz"):
            for own in range(2):
                flat = both[time][0, own].flatten(1)
                expected = 4 * flat
                for seen, group in ((own, part.within), (1 - own, part.across)):
                    query = part.queries[seen](both[time][:, seen])[0].flatten(1)
                    key, value = (
                        layer(both[time][:, own])[0].flatten(1) for layer in (group[own].key, group[own].value)
                    )
                    expected += group[own].gain * value @ (query.T @ key).softmax(1).T
                for source in (time, other):
                    image = both[source][0, own].flatten(1)
                    energy = image @ image.T
                    weights = (energy.max(1, keepdim=True).values - energy).softmax(1)
                    expected += part.channel_gains[own] * weights @ flat
                torch.testing.assert_close(found[time][0, own].flatten(1), expected, rtol=1e-5, atol=1e-5)


def test_other_forms_of_the_attention():
    x = images(1, 16, 3, 3)
    energy = x[0].flatten(1) @ x[0].flatten(1).T
    torch.testing.assert_close(channel_map(x, "plain")[0], energy.softmax(1))
    rows = randomised(SpatialModulation(16, "rows"))
    columns = SpatialModulation(16, "columns")
    columns.load_state_dict(rows.state_dict())
    query, key, value = images(1, 9, 2), tokens(rows.key(x))[0], tokens(rows.value(x))[0].T
    weights = (query[0] @ key.T).softmax(1)
    with torch.no_grad():
        torch.testing.assert_close(columns(query, x)[0].flatten(1), rows.gain * value @ weights)
        torch.testing.assert_close(rows(query, x)[0].flatten(1), rows.gain * value @ weights.T)


def test_attention_is_computed_in_float32_under_mixed_precision():
    """Products of a whole image overflow float16."""
    large = 300 * torch.ones(1, 2, 16, 31, 31, dtype=torch.float16)
    assert channel_map(large, "danet").isfinite().all() and channel_map(large, "danet").dtype == torch.float32
    part = randomised(CrossDomainSiameseAttention(16))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        out = part.look(images(1, 2, 16, 7, 7).bfloat16())[0]
    assert out.dtype == torch.bfloat16


def test_cameras_are_alike():
    """Swapped images in swapped weights are swapped results."""
    part, swapped = randomised(CrossDomainSiameseAttention(16)), CrossDomainSiameseAttention(16)
    turned = {}
    for key, value in part.state_dict().items():
        name, _, rest = key.partition(".")
        turned[f"{name}.{1 - int(rest[0])}{rest[1:]}"] = value
    swapped.load_state_dict(turned)
    z, x = images(1, 2, 16, 3, 3), images(1, 2, 16, 4, 4, seed=1)
    with torch.no_grad():
        ordinary = part(x, z, *part.look(z))
        other = swapped(x.flip(1), z.flip(1), *swapped.look(z.flip(1)))
    for first, second in zip(ordinary, other, strict=True):
        torch.testing.assert_close(first, second.flip(1))


@pytest.mark.parametrize(("form", "residuals"), [("mlp", 1), ("fc", 2)])
def test_fusion_begins_as_features_side_by_side(form, residuals):
    part = DualLevelFusionAttention(2, 16, form=form, residuals=residuals)
    z, x, masks = images(2, 2, 2, 16, 7, 7), images(2, 2, 2, 16, 13, 13), images(2, 2, 1, 13, 13)
    with torch.no_grad():
        templates, searches = part(z, x, masks)
    for level in range(2):
        assert torch.equal(templates[level], residuals * torch.cat([z[:, level, 0], z[:, level, 1]], 1))
        assert torch.equal(searches[level], residuals * torch.cat([x[:, level, 0], x[:, level, 1]], 1))


def test_masks_change_the_weights_and_not_what_is_weighted():
    part = randomised(DualLevelFusionAttention(1, 16))
    z, x = images(1, 1, 2, 16, 7, 7), images(1, 1, 2, 16, 13, 13)
    with torch.no_grad():
        dark = part(z, x, torch.zeros(1, 2, 1, 13, 13))[1][0]
        plain = part(z, x, None)[1][0]
        ones = part(z, x, torch.ones(1, 2, 1, 13, 13))[1][0]
        nothing = torch.zeros(1, 32, 13, 13)
        channels, places = part.search(nothing)
        gains = part.search_gains
    torch.testing.assert_close(ones, plain)
    joined = torch.cat([x[:, 0, 0], x[:, 0, 1]], 1)
    torch.testing.assert_close(dark, joined * (1 + gains[0] * channels + gains[1] * places))
    assert PaddingConv()(images(1, 1, 25, 25)).shape == (1, 1, 31, 31)


def test_distances_are_boxes_around_their_cells():
    assert grid_points(25).tolist() == [8.0 * step for step in range(-12, 13)]
    sides = torch.tensor([10.0, 20.0, 30.0, 40.0])[None, :, None, None].expand(1, 4, 3, 3)
    boxes = boxes_from_sides(sides)
    assert boxes[0, :, 0, 2].tolist() == [8 + 10, -8 + 10, 40, 60]  # row 0, column 2


def test_levels_are_mixed_by_a_softmax_and_distances_are_bounded():
    head = randomised(MultiBANHead(["a", "b"], 8))
    template, search = images(1, 8, 7, 7), images(1, 8, 13, 13)
    with torch.no_grad():
        logits, distances = head([template] * 2, [search] * 2)
        own = [head.levels[name].cls(template, search) for name in "ab"]
        raw = [head.levels[name].loc(template, search) for name in "ab"]
        shares, scales = head.cls_weight.softmax(0), head.loc_scale
        torch.testing.assert_close(logits, shares[0] * own[0] + shares[1] * own[1])
        mixed = head.loc_weight.softmax(0)
        expected = sum(mixed[k] * (scales[k] * raw[k]).exp() for k in range(2))
        torch.testing.assert_close(distances, expected)
        head.levels["a"].loc.head[3].bias.fill_(1e4)
        assert head([template] * 2, [search] * 2)[1].isfinite().all()
    assert MultiBANHead(["a"], 8).cls_weight is None
    assert LevelHead(["a", "b"], 8)(images(1, 2, 8, 7, 7), images(1, 2, 8, 13, 13)).shape == (1, 2, 7, 7)


def test_template_is_the_middle_of_its_map():
    rows = torch.arange(15.0).expand(1, 15, 15)
    assert crop_middle(rows)[0, 0].tolist() == [4, 5, 6, 7, 8, 9, 10] and crop_middle(rows).shape == (1, 7, 7)


def test_infrared_image_is_grey():
    image = torch.randint(0, 256, (2, 2, 3, 4, 4), dtype=torch.uint8)
    grey = image.clone()
    grey[:, 1] = image[:, 1, :1]
    assert torch.equal(GreyInfrared(RawBGR())(grey), RawBGR()(grey)), "what is grey stays as it is"
    found = GreyInfrared(RawBGR())(image)
    assert torch.equal(found[:, 0], RawBGR()(image)[:, 0]) and (found[:, 1] == found[:, 1, :1]).all()
    expected = 0.299 * image[:, 1, 0] + 0.587 * image[:, 1, 1] + 0.114 * image[:, 1, 2]
    torch.testing.assert_close(found[:, 1, 0], expected.round())


def test_correlation_with_a_pytorch_that_does_not_tell_exports(monkeypatch):
    """`torch.compiler.is_exporting` is newer than the oldest version that is supported."""
    monkeypatch.delattr(torch.compiler, "is_exporting", raising=False)
    spec = importlib.util.find_spec("lib.layers.correlation")
    older = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(older)
    features, kernels = torch.randn(2, 3, 9, 9), torch.randn(2, 3, 4, 4)
    assert torch.equal(older.correlate_depthwise(features, kernels), correlate_depthwise(features, kernels))
