"""SiamDMA: the author's numbers at every stage, tracked steps, the ablation's parts, weights under every name."""

import zlib
from dataclasses import replace

import cv2
import golden_siamdma as golden
import micro
import micro_golden
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.layers.siamese.ban import boxes_from_sides, grid_points
from lib.layers.siamese.cross_domain import channel_map, tokens
from lib.layers.siamese.level_fusion import side_by_side
from lib.models import build_method, build_model
from lib.models.siamese.network import hann_window
from lib.models.siamese.siamdma import Memory, Prediction
from lib.models.siamese.siamdma_names import NOT_USED
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
        expect(f"head.{level}.cls", blocks.cls(templates[place], searches[place]))
        expect(f"head.{level}.loc_raw (before scale, exp)", blocks.loc(templates[place], searches[place]))


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


class Stub:
    """A network that gives the recipe's outputs, and a method that remembers the crops that it was shown."""

    def __init__(self, params):
        changes = [f"TEST.{key}={params[name]}" for key, name in
                   (("PENALTY_K", "k"), ("WINDOW_INFLUENCE", "wi"), ("SIZE_LR", "lr"))]  # fmt: skip
        changes += ["DATA.INPUT=pysot", "TEST.SEARCH_SIZE=255", "TEST.TEMPLATE_UPDATE.INTERVAL=2"]
        network = micro.model("siamdma", *changes)
        self.method = build_method(network, micro.config("siamdma", *changes))
        self.tracker = CropTracker(self.method, "cpu")
        self.shown: list[torch.Tensor] = []
        show = self.method.images
        self.method.images = lambda pixels: self.shown.append(pixels) or show(pixels)
        network.forward = lambda memory, search: self.prediction

    def expect_crops(self, number, visible, infrared):
        """The crops that were shown, of both cameras: grey levels are the same but for rounding in the resizing."""
        for image, record in zip(self.shown[number][0, 0], (visible, infrared), strict=True):
            assert golden.worst(image, record) * max(1e-4 * record["std"], 1e-6) <= 1


@pytest.mark.parametrize("case", golden.read("siamdma")["tracker"]["cases"])
def test_tracked_steps(case):
    stub = Stub(case["params"])
    tracker, method = stub.tracker, stub.method
    first = np.array([case["init_rect_v"], case["init_rect_i"]])
    (target,) = tracker.start([golden.first_frame()], [first])
    stub.expect_crops(0, case["init"]["crop_z_v"], case["init"]["crop_z_i"])
    assert target.box.tolist() == case["init_rect_v"]
    for number, step in enumerate(case["steps"]):
        logits = 1.5 * golden.gauss(step["cls_seed"], (1, 2, 25, 25))
        distances = (3.2 + 0.3 * golden.gauss(step["loc_seed"], (1, 4, 25, 25))).exp()
        stub.prediction = Prediction(logits, distances)
        images = golden.frame(step["frame_v_seed"], step["frame_i_seed"])
        frame = Frame(images, images[0].shape[:2])
        (view,) = method.views(target, frame)
        assert view.extent == (step["search_side"],) * 2 and view.scale[0] == pytest.approx(step["scale_z"], rel=1e-6)
        proposals = method.propose(stub.prediction, torch.tensor(view.prior[None] * 255).float())
        assert golden.worst(proposals.scores, step["prob"]) <= 1
        assert golden.worst(proposals.penalty, step["penalty"]) <= 1
        assert golden.worst(proposals.ranks, step["pscore"]) <= 1
        assert proposals.ranks.argmax() == step["best_index"]
        assert golden.worst(proposals.boxes[0].T, step["pred_cxcywh"]) <= 1
        (target,) = tracker.track([target], [images])
        stub.expect_crops(1 + number, step["crop_x_v"], step["crop_x_i"])
        np.testing.assert_allclose(target.box, step["box_xywh"], rtol=0, atol=1e-3)
        assert target.score == pytest.approx(step["best_score"], abs=1e-5)
        infrared = target.box[:2] + target.box[2:] / 2 + target.state.settings.shifts[1]
        np.testing.assert_allclose(infrared, step["centre_i"], rtol=0, atol=1e-3)
    stub.expect_crops(3, case["template_update_crops"]["v"], case["template_update_crops"]["i"])
    assert len(stub.shown) == 4


def test_window_and_grid():
    known = golden.read("siamdma")["tracker"]["constants"]
    window = hann_window(25, torch.device("cpu"))
    assert golden.worst(window, known["window"]) <= 1
    points = boxes_from_sides(torch.ones(1, 4, 25, 25))[0, :2].flatten(1).T
    assert golden.worst(points, known["points_xy"]) <= 1 and grid_points(25)[0] == -96


def test_number_of_parameters():
    def count(name, *changes):
        with torch.device("meta"):
            return sum(part.numel() for part in build_model(load_config("siamdma", name, changes)).parameters())

    assert count("siamdma") == 53_758_809
    assert count("release") == golden.read("siamdma_schema")["parameters"] - len(NOT_USED) * 2
    assert count("siamdma", "MODEL.LEVELS=[3]") < count("siamdma", "MODEL.LEVELS=[4]") < count("siamdma")
    assert count("baseline") + 2 * 312_518 == count("cdsa") and count("cdsa") + 2 * 2_494_470 == count("cdsa_aux")
    assert count("cdsa_aux") + 67_951 == count("siamdma")


def test_masks_do_not_train_the_heads_of_the_cameras():
    model, batch = micro.model("siamdma"), micro.batch("siamdma")
    found = model(model.embed(batch.template), batch.search)
    (found.logits.sum() + found.distances.sum()).backward()
    assert all(part.grad is None for part in model.stream_heads.parameters())
    assert all(part.grad.abs().sum() > 0 for part in model.padding_conv.parameters())


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (["MODEL.AUX.USE=false"], ["MODEL.DLBM.DECISION", "MODEL.AUX.USE=true"]),
        (["MODEL.LEVELS=[4,3]"], ["MODEL.LEVELS", "ascending"]),
        (["MODEL.LEVELS=[]"], ["MODEL.LEVELS", "[3, 4]"]),
        (["DATA.SEARCH.SIZE=263"], ["DATA.SEARCH.SIZE", "263", "255"]),
    ],
)
def test_parts_that_do_not_go_together_are_one_clear_line(changes, parts):
    with pytest.raises(InputError) as raised:
        micro.model("siamdma", *changes)
    message = str(raised.value)
    assert all(part in message for part in parts) and "\n" not in message


def test_size_without_a_middle_cell_is_refused_for_tracking_too():
    network = micro.model("siamdma")
    with pytest.raises(InputError, match=r"TEST\.SEARCH_SIZE: 263 .* give 255"):
        build_method(network, micro.config("siamdma", "TEST.SEARCH_SIZE=263"))


@pytest.mark.parametrize(
    "change",
    ["MODEL.CDSA.CHANNEL=plain", "MODEL.CDSA.SPATIAL=columns", "MODEL.CDSA.RESIDUALS=1", "MODEL.DLBM.MASK=sigmoid",
     "MODEL.DLBM.RESIDUALS=2", "MODEL.DLBM.DECISION=false", "MODEL.DLBM.CHANNEL=fc", "MODEL.LEVELS=[4]"],
)  # fmt: skip
def test_each_key_changes_the_outcome(change):
    batch, answers = micro.batch("siamdma"), []
    for changes in ([], [change]):
        model = micro.model("siamdma", *changes)
        with torch.no_grad():
            answers.append(model(model.embed(batch.template), batch.search).logits)
    assert (answers[0] - answers[1]).abs().max() > 1e-6


def calm_tracker(*changes):
    """A tracker whose scores and distances are not at their limits."""
    network = micro_golden.calm_network("siamdma-update")
    return CropTracker(build_method(network, micro.config("siamdma-update", *changes)), "cpu")


def follow(tracker, starts, steps):
    """Boxes and scores of targets in the frames of seeds `steps`."""
    frames = [golden.frame(seed, seed + 10) for seed in steps]
    targets = tracker.start([frames[0]] * len(starts), starts)
    seen = []
    for images in frames[1:]:
        targets = tracker.track(targets, [images] * len(starts))
        seen.append([np.append(target.box, target.score) for target in targets])
    return np.array(seen)


def test_targets_tracked_together_get_what_they_get_alone():
    """With template updates, and with and without a first box in the infrared image."""
    starts = [np.array([100.0, 80, 60, 40]), np.array([[5.0, 190, 36, 72], [2, 186, 36, 72]]),
              np.array([200.0, 100, 30, 50])]  # fmt: skip
    tracker = calm_tracker()
    together = follow(tracker, starts, range(31, 36))
    alone = np.concatenate([follow(tracker, [start], range(31, 36)) for start in starts], axis=1)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-3)
    unblended = follow(calm_tracker("TEST.TEMPLATE_UPDATE.INTERVAL=0"), starts, range(31, 36))
    assert np.abs(unblended[0] - together[0]).max() < 1e-3 < np.abs(unblended - together).max()


def test_template_is_blended_when_it_is_due_and_the_score_allows():
    images = golden.frame(31, 41)
    frame = Frame(images, images[0].shape[:2])
    tracker = micro.tracker("siamdma-update", "TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SCORE=0.5")
    (target,) = tracker.start([images], [np.array([100.0, 80, 60, 40])])
    due = {(age, score): len(tracker.method.update_views(replace(target, age=age, score=score), frame))
           for age in (1, 2) for score in (0.4, 0.6)}  # fmt: skip
    assert due == {(1, 0.4): 0, (1, 0.6): 0, (2, 0.4): 0, (2, 0.6): 1}
    (view,) = tracker.method.update_views(replace(target, age=2), Frame([image // 2 for image in images], frame.size))
    assert view.fill.tolist() == [int((image[..., k] // 2).mean()) for image in images for k in range(3)]


def test_infrared_box_of_its_own_moves_the_infrared_crops_alone():
    both = np.array([[100.0, 80, 60, 40], [110, 83, 58, 41]])
    images = golden.frame(31, 41)
    frame = Frame(images, images[0].shape[:2])
    for form, corners in (("own", 1), ("visible", 0)):
        tracker = micro.tracker("siamdma", f"TEST.IR_INIT={form}")
        assert tracker.streams.own_boxes == bool(corners)
        (target,) = tracker.start([images], [both if corners else both[0]])
        (view,) = tracker.method.views(target, frame)
        assert len(view.others) == corners
    assert np.subtract(view.of(1).corner, view.corner).tolist() == [0, 0]


def test_a_missing_infrared_image_is_a_grey_copy():
    """As in its pretraining on visible videos."""
    images = golden.frame(31, 41)
    grey = cv2.cvtColor(cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tracker, box = micro.tracker("siamdma"), [np.array([100.0, 80, 60, 40])]
    alone = tracker.track(tracker.start([images[:1]], box), [images[:1]])[0]
    both = tracker.track(tracker.start([[images[0], grey]], box), [[images[0], grey]])[0]
    assert np.array_equal(alone.box, both.box) and alone.score == both.score


def test_boxes_keep_float32_in_reduced_precision():
    model, batch = micro.model("siamdma"), micro.batch("siamdma")
    with torch.no_grad():
        expected = model(model.embed(batch.template), batch.search)
        model.cast(torch.bfloat16)
        batch = batch.apply(lambda part: part.bfloat16() if part.ndim == 5 else part)
        found = model(model.embed(batch.template), batch.search)
    kinds = {key: value.dtype for key, value in model.state_dict().items() if value.is_floating_point()}
    precise = {key for key, kind in kinds.items() if kind == torch.float32}
    assert precise and all(key.startswith("head.l") and "cls" not in key for key in precise)
    assert found.distances.dtype == torch.float32
    assert (found.distances / expected.distances - 1).abs().median() < 0.05


def test_what_the_curves_of_a_training_show():
    model, batch = micro.model("siamdma"), micro.batch("siamdma")
    seen = model.watched()
    gains = 2 * (2 + 2 + 2) + 2 * 4  # within, across and by channels on two levels; fusion of template and search
    levels = 2 * 2 + 3 * 2  # heads of the cameras; shares for scores and boxes, scales
    assert len(seen) == gains + levels and all(value.ndim == 0 and not value.requires_grad for value in seen.values())
    assert seen["head.cls_weight.0"] + seen["head.cls_weight.1"] == pytest.approx(1)
    with torch.no_grad():
        found = model(model.embed(batch.template), batch.search)
    shown = model.distributions(found)
    assert list(shown) == ["mask_visible", "mask_infrared"]
    for camera, one in enumerate(model.inner_maps(found)):
        assert torch.equal(one.scores, found.masks[:, camera])
        assert one.first + one.step * (one.scores.shape[-1] - 1) / 2 == pytest.approx(0.5)
    assert model.rate_factor("backbone.streams.1.layer2.0.conv1.weight") == 2.0
    assert model.rate_factor("backbone.streams.0.layer2.0.conv1.weight") == model.rate_factor("head.loc_scale") == 1.0
    plain = micro.model("siamdma-baseline")
    with torch.no_grad():
        found = plain(plain.embed(batch.template), batch.search)
    assert plain.distributions(found) == {} and plain.inner_maps(found) == []
