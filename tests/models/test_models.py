"""Every network of the registry that learns offline, in every variant of `micro.TRAINED`: what it must be able to
do."""

import os
import subprocess
import sys
from pathlib import Path

import micro
import numpy as np
import pytest
import torch

from lib.core import tree
from lib.core.checkpoint import load_weights, save_checkpoint, save_weights
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.core.target import Target
from lib.layers.timm_parts import timm
from lib.layers.transformer.candidates import choose_judges, kept_share
from lib.layers.transformer.vit import run_block
from lib.models import TRACKERS, build_model
from lib.models.base import Network
from lib.models.method import CropState
from lib.models.weights import load_state
from lib.train.meters import Means

ROOT = Path(__file__).parents[2]
CE = [name for name in micro.VARIANTS if "-ce-" in name]
every_variant = pytest.mark.parametrize("variant", micro.TRAINED)
every_one_stream = pytest.mark.parametrize("variant", micro.ONE_STREAM)


def close(first, second, tolerance=1e-5):
    """Equal but for rounding, relative to the largest magnitude."""
    scale = max(1.0, second.detach().abs().max().item()) if second.numel() else 1.0
    torch.testing.assert_close(first, second, rtol=0, atol=tolerance * scale)


def all_close(first, second, tolerance=1e-5):
    for a, b in zip(first, second, strict=True):
        close(a, b, tolerance)


def predict(model, batch, box=None):
    with torch.no_grad():
        memory = model.embed(batch.template, box)
        return memory, model(memory, batch.search)


def test_every_tracker_has_variants():
    assert {name.split("-")[0] for name in micro.VARIANTS} == set(TRACKERS)


@every_variant
def test_shapes(variant):
    model, batch = micro.model(variant), micro.batch(variant, 3)
    memory, prediction = predict(model, batch)
    assert isinstance(model, Network) and model.modalities == batch.template.shape[1]
    assert all(part.shape[0] == 3 for part in tree.tensors(memory)), "memories are stacked along targets"
    boxes = model.read(prediction)
    assert boxes.shape == (3, 4) and torch.isfinite(boxes).all()
    shown, first, step = model.score_map(prediction)
    assert shown.shape == (3, shown.shape[1], shown.shape[1]) and ((shown >= 0) & (shown <= 1)).all()
    assert 0 <= first < first + (shown.shape[1] - 1) * step < 1


@every_variant
def test_answers_of_the_method(variant):
    """From pixels, one target's answer has nothing to do with the others in the pass."""
    method, cfg = micro.tracker(variant).method, micro.config(variant)
    random = torch.Generator().manual_seed(0)

    def crops(size, views=1):
        shape = (3, views, method.modalities, 3, size, size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)

    frame = Frame([np.zeros((90, 90, 3), np.uint8)] * method.modalities, (90, 90))
    middle = np.array([30.0, 30, 30, 30])
    target = Target("any", middle, state=CropState(None, method.initial_settings(frame, middle)))
    views = len(method.views(target, frame))
    box = torch.tensor([0.5, 0.5, 0.5, 0.5]).expand(3, views, 4)
    with torch.no_grad():
        template, search = crops(method.template_size), crops(method.search_size, views)
        memory, other = method.begin(template, box[:, :1]), method.begin(template, box[:, :1])  # it may own some of it
        answer = method.search(memory, search, box[..., 2:] / 2)
        alone = [method.search(tree.part(other, k), search[k : k + 1], box[:1, :, 2:] / 2) for k in range(3)]
    assert answer.boxes.shape == (3, 4) and torch.isfinite(answer.boxes).all()
    assert ((answer.scores > 0) & (answer.scores <= 1)).all() and ((answer.view >= 0) & (answer.view < views)).all()
    all_close(
        [answer.boxes, answer.scores],
        [torch.cat(parts) for parts in zip(*((a.boxes, a.scores) for a in alone), strict=True)],
        1e-4,
    )
    assert (
        all(part.shape[0] == 3 for part in tree.tensors(answer.memory)) and method.search_size == cfg.TEST.SEARCH_SIZE
    )


@every_one_stream
def test_maps_of_the_head(variant):
    model, cfg = micro.model(variant), micro.config(variant)
    _, prediction = predict(model, micro.batch(variant, 3))
    grid = cfg.DATA.SEARCH.SIZE // cfg.MODEL.BACKBONE.STRIDE
    assert prediction.score_map.shape == (3, 1, grid, grid)
    maps = 0 if cfg.MODEL.HEAD.TYPE == "CORNER" else 2
    assert prediction.size_map.shape == prediction.offset_map.shape == (3, maps, grid, grid)
    assert model.score_map(prediction).scores.shape == (3, grid, grid)


@every_variant
def test_batched_is_sequential(variant):
    model, batch = micro.model(variant), micro.batch(variant, 3)
    memory, together = predict(model, batch)
    alone = [predict(model, batch.apply(lambda part, k=k: part[k : k + 1])) for k in range(3)]
    joined = tree.join([one for _, one in alone]), tree.join([one for one, _ in alone])
    all_close(tree.tensors(together), tree.tensors(joined[0]))
    all_close(tree.tensors(joined[1]), tree.tensors(memory))


@every_variant
def test_every_parameter_learns(variant):
    model, batch = micro.model(variant), micro.train_batch(variant, 3)  # without stochastic depth
    losses, figures = model.step(batch)
    sum(losses.values()).backward()
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    idle = [name for name, parameter in learning.items() if parameter.grad is None]
    assert learning
    assert not idle, f"{len(idle)} parameters never receive a gradient: {idle[:5]}"
    still = [name for name, parameter in learning.items() if not parameter.grad.abs().sum() > 0]
    assert not still, f"{len(still)} parameters have a gradient of zero: {still[:5]}"
    means = Means()
    means.update({**losses, **figures}, 3)
    assert 0 <= means.read()["iou"] <= 1 and not figures["iou"].requires_grad


@every_variant
def test_saved_and_loaded_weights_give_the_same_outputs(variant, tmp_path):
    model, other, batch = micro.model(variant), micro.model(variant, seed=1), micro.batch(variant)
    expected = predict(model, batch)[1]
    assert not torch.equal(predict(other, batch)[1][0], expected[0])
    save_checkpoint(tmp_path / "x.pth.tar", {"net": model.state_dict()})
    save_weights(tmp_path / "x.safetensors", model.state_dict(), {})
    for name in ("x.pth.tar", "x.safetensors"):
        other = micro.model(variant, seed=1)
        load_state(other, load_weights(tmp_path / name), name)
        found = tree.tensors(predict(other, batch)[1])
        assert all(torch.equal(a, b) for a, b in zip(found, tree.tensors(expected), strict=True))


@every_one_stream
def test_full_features_end_in_the_search_features(variant):
    model, batch = micro.model(variant), micro.batch(variant)
    with torch.no_grad():
        memory = model.embed(batch.template)
        full = model.encode(memory, batch.search)
        short = model.encode(memory, batch.search, search_only=True)
    length = model.backbone.grid_x**2
    assert full[0].shape[1] == length + model.backbone.grid_z**2 and short[0].shape[1] == length
    for whole, part in zip(full, short, strict=True):
        close(part, whole[:, -length:])


@every_variant
def test_one_memory_serves_many_searches_and_nothing_is_kept(variant):
    model = micro.model(variant)
    first, second = micro.batch(variant, seed=1), micro.batch(variant, seed=2)
    memory, before = predict(model, first)
    copies = [part.clone() for part in tree.tensors(memory)]
    predict(model, second)
    with torch.no_grad():
        other = model(memory, second.search)
        again = model(memory, first.search)
    assert all(torch.equal(a, b) for a, b in zip(tree.tensors(again), tree.tensors(before), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tree.tensors(memory), copies, strict=True)), "arguments are read-only"
    assert not torch.equal(other[0], before[0])


@every_variant
def test_template_decides(variant):
    model, batch = micro.model(variant), micro.batch(variant)
    swapped = batch._replace(template=batch.template.flip(0))
    assert (predict(model, batch)[1][0] - predict(model, swapped)[1][0]).abs().max() > 1e-7


@pytest.mark.parametrize("tracker", [name for name in TRACKERS if name in micro.TRAINED])
def test_same_seed_same_network_and_same_step(tracker):
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(build_model(micro.config(tracker)).train())
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    losses = []
    for model in models:
        torch.manual_seed(6)  # of the stochastic depth
        losses.append({name: value.item() for name, value in model.step(micro.train_batch(tracker, 3))[0].items()})
    assert losses[0] == losses[1]


@pytest.mark.parametrize("tracker", ["tbsi_track", "iimf_track"])
def test_both_modalities_are_seen(tracker):
    model, batch = micro.model(tracker), micro.batch(tracker)
    before = predict(model, batch)[1].score_map
    for modality in (0, 1):
        search = batch.search.clone()
        search[:, modality] = 0
        assert (predict(model, batch._replace(search=search))[1].score_map - before).abs().max() > 1e-7


@every_one_stream
def test_box_is_read_where_score_times_window_is_highest(variant):
    model, batch = micro.model(variant), micro.batch(variant)
    prediction = predict(model, batch)[1]
    boxes, scores = model.box_head.decode(prediction, model.window)
    if "corner" in variant:
        assert torch.equal(boxes, prediction.boxes)
        return
    grid = model.backbone.grid_x
    for k in range(2):
        value = prediction.score_map[k, 0] * model.window
        row, column = divmod(int(value.argmax()), grid)
        dx, dy = prediction.offset_map[k, :, row, column]
        width, height = prediction.size_map[k, :, row, column]
        expected = torch.stack([(column + dx) / grid, (row + dy) / grid, width, height])
        torch.testing.assert_close(boxes[k], expected)
        assert scores[k] == prediction.score_map[k, 0, row, column]


def test_window_has_no_zero_and_is_symmetric():
    window = micro.model("ostrack").window
    steps = torch.arange(1, 5) / 5
    ramp = 0.5 - 0.5 * torch.cos(2 * torch.pi * steps)
    torch.testing.assert_close(window, torch.outer(ramp, ramp))


@pytest.mark.parametrize("variant", CE)
def test_elimination_changes_the_features_and_zeroes_what_left(variant):
    model, batch = micro.model(variant), micro.batch(variant)
    with torch.no_grad():
        memory = model.embed(batch.template)
        (features,) = model.encode(memory, batch.search, search_only=True)
    length = features.shape[1]
    kept = length
    for share in model.backbone.keep.values():
        kept = -int(-share * kept // 1)
    assert ((features != 0).any(dim=2).sum(dim=1) == kept).all() and kept < length
    model.backbone.keep = dict.fromkeys(model.backbone.keep, 1.0)
    plain = micro.model("ostrack")
    load_state(plain, model.state_dict())
    close(predict(model, batch)[1].score_map, predict(plain, batch)[1].score_map)


def test_elimination_keeps_what_the_judges_look_at():
    """One block of elimination, by hand from timm's own attention."""
    model = micro.model("ostrack-ce-GT_BOX", "MODEL.BACKBONE.CE_LOC=[3]", "MODEL.BACKBONE.CE_KEEP_RATIO=[0.5]")
    batch = micro.batch("ostrack")
    box = torch.tensor([[0.25, 0.25, 0.4, 0.4], [0.75, 0.25, 0.4, 0.4]])  # one template token each of 2 x 2
    with torch.no_grad():
        memory = model.embed(batch.template, box)
        (features,) = model.encode(memory, batch.search, search_only=True)
        tokens = torch.cat([memory.tokens[:, 0], model.backbone.embed_search(batch.search[:, 0])], dim=1)
        for block in model.backbone.blocks[:3]:
            tokens = block(tokens)
        block = model.backbone.blocks[3]
        attention = block.attn
        qkv = attention.qkv(block.norm1(tokens)).unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
        weight = (qkv[0] * attention.scale @ qkv[1].mT).softmax(-1).mean(1)
    assert memory.judges.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    for k, judge in enumerate((0, 1)):
        received = weight[k, judge, 4:]
        stay = set(received.topk(8).indices.tolist())
        assert set(torch.nonzero(features[k].abs().sum(1))[:, 0].tolist()) == stay


@pytest.mark.parametrize(
    ("kind", "grid", "expected"),
    [
        ("CTR_POINT", 8, [(3, 3)]), ("CTR_POINT", 12, [(5, 5)]),
        ("CTR_POINT", 7, [(3, 3)]), ("CTR_POINT", 14, [(6, 6)]),
        ("CTR_REC", 8, [(3, 3), (3, 4), (4, 3), (4, 4)]), ("CTR_REC", 12, [(5, 5), (5, 6), (6, 5), (6, 6)]),
        ("CTR_REC", 7, [(3, 3)]), ("ALL", 2, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("GT_BOX", 4, [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]),
    ],
)  # fmt: skip
def test_judges(kind, grid, expected):
    weights = choose_judges(kind, grid, torch.tensor([[0.5, 0.375, 0.5, 0.75]]))
    assert weights.sum().item() == pytest.approx(1)
    assert [tuple(place) for place in torch.nonzero(weights.view(grid, grid)).tolist()] == expected


def test_box_that_holds_no_token_lets_the_centre_judge():
    weights = choose_judges("GT_BOX", 4, torch.tensor([[0.5, 0.5, 0.01, 0.01]]))
    assert torch.equal(weights, choose_judges("CTR_REC", 4, torch.zeros(1, 4)))


def test_share_of_candidates_over_training():
    shares = [kept_share(0.7, epoch, 20, 80) for epoch in (1, 20, 60, 100, 300)]
    assert shares == pytest.approx([1, 1, 0.85, 0.7, 0.7])
    model = micro.model("ostrack-ce-ALL", "TRAIN.CE_START_EPOCH=2", "TRAIN.CE_WARM_EPOCH=2")
    model.set_epoch(1)
    model.train()
    assert set(model.backbone.keep.values()) == {1.0}
    model.eval()
    assert model.backbone.keep == {1: 0.7, 2: 0.5}, "evaluation eliminates as configured"


def test_rows_of_a_block_are_those_of_the_whole_block():
    model = micro.model("ostrack")
    tokens = torch.randn(2, 20, 24)
    for block in model.backbone.blocks:
        close(run_block(block, tokens, 4), block(tokens)[:, 4:])


@pytest.mark.parametrize("name", [f"vit_{name}" for name in ("base_patch16_clip_224", "medium_patch16_gap_256")])
def test_other_vits_of_timm_give_the_features_that_timm_gives(name):
    """The final tokens of a template alone: what the encoder leaves out (a norm before the blocks, say) would show."""
    model, image = micro.model("ostrack", f"MODEL.BACKBONE.TYPE={name}"), micro.batch("ostrack").template[:, 0]
    vit = timm.create_model(name, num_classes=0, img_size=32, embed_dim=24, num_heads=2, depth=4, class_token=False,
                            global_pool="avg", fc_norm=False).eval()  # fmt: skip
    own = {key.removeprefix("backbone."): value for key, value in model.state_dict().items()}
    own["pos_embed"] = own["pos_embed_z"]
    vit.load_state_dict({key: own[key] for key in vit.state_dict()})
    with torch.no_grad():
        tokens = model.backbone.embed_template(image)
        for block in model.backbone.blocks:
            tokens = run_block(block, tokens)
        close(model.backbone.norm(tokens), vit.forward_features(image))


@pytest.mark.parametrize("name", ["vit_small_patch16_18x2_224", "vit_base_patch16_rpn_224"])  # parallel, post-norm
def test_vit_that_is_not_plain_is_refused(name):
    with pytest.raises(InputError, match="is not a plain ViT; choose one such as"):
        micro.model("ostrack", f"MODEL.BACKBONE.TYPE={name}")


@pytest.mark.parametrize(
    ("tracker", "change", "parts"),
    [
        ("ostrack", "MODEL.BACKBONE.TYPE=vit_tiny_patch16_223", ["BACKBONE.TYPE", "mean vit_tiny_patch16_224?"]),
        ("ostrack", "MODEL.BACKBONE.TYPE=resnet50", ["MODEL.BACKBONE.TYPE 'resnet50'", "known: ", " more"]),
        ("ostrack", "MODEL.BACKBONE.TYPE=vit_tiny_patch16_224.nowhere", ["MODEL.BACKBONE.TYPE", "nowhere"]),
        ("ostrack", "MODEL.BACKBONE.NUM_HEADS=5", ["MODEL.BACKBONE.TYPE", "cannot be built with", "'num_heads': 5"]),
        ("tbsi_track", "MODEL.BACKBONE.TBSI_LOC=[1,4]", ["MODEL.BACKBONE.TBSI_LOC", "[1, 4]", "4 blocks", "0 to 3"]),
        ("tbsi_track", "MODEL.BACKBONE.TBSI_LOC=[2,1]", ["MODEL.BACKBONE.TBSI_LOC", "[2, 1]", "ascending"]),
        ("iimf_track", "MODEL.BACKBONE.TBSI_LOC=[0]", ["MODEL.BACKBONE.TBSI_LOC", "[0]", "begins after block 1"]),
        ("iimf_track", "MODEL.BACKBONE.DEPTH=2", ["MODEL.BACKBONE.TBSI_LOC", "2 blocks"]),
    ],
)  # fmt: skip
def test_network_that_cannot_be_built_is_one_clear_line(tracker, change, parts):
    with pytest.raises(InputError) as raised:
        build_model(micro.config(tracker, change))
    message = str(raised.value)
    assert "\n" not in message and all(part in message for part in parts), message
    assert len(message) < 700


@pytest.mark.parametrize("loc", ["CE_LOC=[4]", "CE_LOC=[2,2]"])
def test_elimination_in_a_block_that_is_not_there_is_one_clear_line(loc):
    ratio = "[0.7]" if loc == "CE_LOC=[4]" else "[0.7,0.7]"
    changes = [f"MODEL.BACKBONE.{loc}", f"MODEL.BACKBONE.CE_KEEP_RATIO={ratio}"]
    with pytest.raises(InputError, match=r"MODEL\.BACKBONE\.CE_LOC"):
        build_model(micro.config("ostrack", *changes))


def test_capitals_in_the_name_of_a_vit_do_not_matter():
    build_model(micro.config("ostrack", "MODEL.BACKBONE.TYPE=ViT_Tiny_Patch16_224"))


def test_mixed_precision_keeps_places_precise():
    """A box in bfloat16 would jump by half a pixel; maps that boxes are read from stay in float32."""
    for variant in ("iimf_track", "ostrack-corner"):
        model, batch = micro.model(variant), micro.batch(variant)
        with torch.autocast("cpu", torch.bfloat16):
            _, prediction = predict(model, batch)
        assert {part.dtype for part in prediction if part.numel()} == {torch.float32}


def test_models_are_importable_alone_and_build_only_what_is_asked_for():
    program = (
        "import sys; from lib.models import build_model\n"
        "from lib.core.config import load_config\n"
        "build_model(load_config('iimf_track', 'tiny'))\n"
        "assert 'lib.models.one_stream.ostrack' not in sys.modules and 'cv2' not in sys.modules\n"
        "assert not any(name.startswith(('lib.train', 'lib.test')) for name in sys.modules)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
