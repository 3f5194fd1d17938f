"""DaSiamRPN: tracked frames of the release, the distractor module, local to global."""

from dataclasses import replace

import golden_siamrpn as golden
import micro
import numpy as np
import pytest
import torch

from lib.core import tree
from lib.core.boxes import cxcywh_to_xywh
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.frame import Streams
from lib.models import build_method, build_model
from lib.models.siamese.dasiamrpn import Memory, Prediction, Template
from lib.models.siamese.distractors import discriminator, first_frame, similarity
from lib.models.siamese.network import hann_window
from lib.models.siamese.siamrpn import Kernels
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.protocol import read_frame

STUB = golden.read("tracker_stub")
CASES = sorted(STUB["cases"])
START = {"centre": (160, 120, 60, 40), "border": (12.5, 230, 37, 50), "small": (200, 90, 14, 16)}
PICTURE = np.kron(np.random.default_rng(50).integers(0, 256, (30, 40, 3)), np.ones((8, 8, 1))).astype(np.uint8)  # BGR


def stub(case):
    """The tracker of a case, whose network answers with the recipe's noise; its start; the images it was shown."""
    network, place = case.split("/")
    with torch.device("meta"):
        model = build_model(load_config("dasiamrpn", golden.CONFIGS[network]))
    shown = []
    model.anchor_shapes = build_model(micro.config("siamrpn")).anchor_shapes

    def embed(template, box=None):
        shown.append(template)
        return Template(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1, 1, 1))

    def forward(memory, search):
        shown.append(search)
        draw, grid = np.random.default_rng(99 + len(shown)), (search.shape[-1] - 127) // 8 + 1
        reg = (0.1 * draw.standard_normal((1, 20, grid, grid))).astype(np.float32)
        cls = draw.standard_normal((1, 10, grid, grid)).astype(np.float32)
        shape = (5, grid, grid)
        maps = torch.from_numpy(cls).view(1, 2, *shape), torch.from_numpy(reg).view(1, 4, *shape)
        return Prediction(*maps, torch.zeros(1, 1, 1, 1))

    model.embed, model.forward, model.to = embed, forward, lambda device: model
    cfg = load_config("dasiamrpn", golden.CONFIGS[network])
    return CropTracker(build_method(model, cfg), "cpu"), cxcywh_to_xywh(np.array(START[place], float)), shown


def frames_of(case):
    tracker, box, shown = stub(case)
    image = [np.ascontiguousarray(PICTURE[..., ::-1])]
    targets, rows = tracker.start([image], [box]), []
    for _ in range(4):
        targets = tracker.track(targets, [image])
        x, y, w, h = targets[0].box
        rows.append([x + w / 2, y + h / 2, w, h, targets[0].score])
    return np.array(rows), shown


def expected_frames(frames):
    return np.array([[*frame["target_pos"], *frame["target_sz"], frame["score"]] for frame in frames])


@pytest.mark.parametrize("case", CASES)
def test_tracked_frames_and_crops_of_the_release(case):
    rows, shown = frames_of(case)
    expected = STUB["cases"][case]
    assert np.abs(rows - expected_frames(expected["frames"])).max() < 1e-3
    assert np.abs(rows - expected_frames(STUB["naive"][case]))[:, :2].max() > 1, "half a stride off, as under Python 3"
    assert shown[1].shape[-1] == expected["instance_size"]
    for image, part in ((shown[0], "z_crop"), (shown[1], "x_crop_frame1")):
        flat = image.flatten().numpy()
        assert len(flat) == expected[part]["n"] and flat.mean() == pytest.approx(expected[part]["mean"], abs=0.05)
        assert np.abs(flat[expected[part]["idx"]] - expected[part]["values"]).max() <= 1


def test_window_of_the_release():
    for case in CASES:
        expected = STUB["cases"][case]
        flat = hann_window(expected["score_size"], torch.device("cpu")).flatten().repeat(5)
        assert len(flat) == expected["window"]["n"] and flat.mean().item() == pytest.approx(expected["window"]["mean"])
        values = torch.tensor(expected["window"]["values"])
        torch.testing.assert_close(flat[expected["window"]["idx"]], values, rtol=0, atol=1e-6)


def trackers(*changes, variant="dasiamrpn"):
    changes = ["MODEL.CORR_SCALE=1e-6", *changes]  # or a random network's boxes are all as large as boxes can be
    return micro.tracker(variant, *changes)


def noisy_sequences(count=3, length=5):
    """Textured squares that drift over noise, one of them small; and the boxes that they start from."""
    rng = np.random.default_rng(3)
    videos = []
    for k in range(count):
        cells = rng.integers(0, 256, (30, 40, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        frames = [np.roll(cells, (2 * t, 3 * t), (0, 1)) for t in range(length)]
        videos.append(([[frame] for frame in frames], np.array([90.0 + 20 * k, 80, 30 + 9 * k, 40])))
    return videos


def follow(tracker, videos):
    """[videos, frames, 7] box, score, next search size, how many frames were learned from."""
    targets = tracker.start([frames[0] for frames, _ in videos], [box for _, box in videos])
    rows = []
    for t in range(1, len(videos[0][0])):
        targets = tracker.track(targets, [frames[t] for frames, _ in videos])
        states = [target.state for target in targets]
        learned = [state.memory.known.frames.item() if hasattr(state.memory, "known") else 0 for state in states]
        rows.append([[*t.box, t.score, t.state.settings.search_size, n] for t, n in zip(targets, learned, strict=True)])
    return np.array(rows).transpose(1, 0, 2)


EAGER = [
    *(f"TEST.DISTRACTOR.{key}=0" for key in ("UPDATE_SCORE", "SCORE")),
    *(f"TEST.DISTRACTOR.{key}=-1" for key in ("UPDATE_SIMILARITY", "SIMILARITY")),
    *(f"TEST.DISTRACTOR.{key}=1" for key in ("NMS_IOU", "IOU")),
    "TEST.DISTRACTOR.ETA=0.3",
]


def test_module_off_is_the_plain_tracker():
    plain = follow(trackers(variant="siamrpn"), noisy_sequences())
    off = follow(trackers("TEST.MODE=plain"), noisy_sequences())
    np.testing.assert_array_equal(off[..., :6], plain[..., :6])
    on = follow(trackers(*EAGER, "TEST.DISTRACTOR.GAIN=0.9"), noisy_sequences())
    assert (on[..., 6] == np.arange(2, 6)).all(), "each frame was learned from"
    assert np.abs(on[..., :4] - plain[..., :4]).max() > 1
    quiet = follow(trackers("TEST.DISTRACTOR.GAIN=0"), noisy_sequences())
    np.testing.assert_allclose(quiet[..., :6], plain[..., :6], atol=1e-4), "ranked by the network alone"


def test_long_term_mode_that_never_loses_is_the_mode_without():
    never = ["TEST.LONG_TERM.LOW=0", "TEST.LONG_TERM.HIGH=0"]
    np.testing.assert_array_equal(
        follow(trackers(*never, variant="dasiamrpn-long"), noisy_sequences()), follow(trackers(), noisy_sequences())
    )


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("dasiamrpn", EAGER),
        ("dasiamrpn-kernel", EAGER),
        ("dasiamrpn", [*EAGER, "TEST.DISTRACTOR.GAIN=1", "TEST.DISTRACTOR.BETA=series"]),
        ("dasiamrpn-long", [*EAGER, "TEST.LONG_TERM.LOW=0.9", "TEST.LONG_TERM.STEP=64", "TEST.LONG_TERM.HIGH=0.99",
                            "TEST.LONG_TERM.MAX_SIZE=287"]),
    ],
)  # fmt: skip
def test_followed_together_is_followed_alone(variant, changes):
    tracker, videos = trackers(*changes, variant=variant), noisy_sequences()
    together = follow(tracker, videos)
    alone = np.concatenate([follow(tracker, [video]) for video in videos])
    np.testing.assert_allclose(together[..., :5], alone[..., :5], atol=1e-3)
    np.testing.assert_array_equal(together[..., 5:], alone[..., 5:])


def test_memory_that_came_in_stays_as_it_was():
    tracker = trackers(*EAGER, variant="dasiamrpn-kernel")
    (frames, box), *_ = noisy_sequences()
    before = tracker.start([frames[0]], [box])
    memory = before[0].state.memory
    copies = [part.clone() for part in tree.tensors(memory)]
    after = tracker.track(before, [frames[1]])[0].state.memory
    assert all(torch.equal(a, b) for a, b in zip(tree.tensors(memory), copies, strict=True))
    pairs = zip(tree.names(memory), tree.tensors(memory), tree.tensors(after), strict=True)
    changed = {name for name, old, new in pairs if not torch.equal(old, new)}
    learned = {f"known.{name}" for name in ("target", "weight", "distractors", "mass", "frames")}
    assert changed == {"kernels.cls", *learned}


def test_memory_of_the_plain_tracker_is_handed_on_uncopied():
    tracker, ((frames, box), *_) = trackers("TEST.MODE=plain"), noisy_sequences()
    targets = tracker.start([frames[0]], [box])
    assert tracker.track(targets, [frames[1]])[0].state.memory is targets[0].state.memory


def test_kernels_of_an_undisturbed_target_are_its_template_s():
    method = micro.tracker("dasiamrpn-kernel").method
    memory = begun(method)
    pattern = discriminator(memory.known) * memory.known.norm[:, None, None, None]
    made = method.network.rpn_head.make_class_kernels(pattern)
    torch.testing.assert_close(made, memory.kernels.cls, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def begun(method, seed=0):
    """The memory of two random templates."""
    template = method.network.embed(micro.batch("dasiamrpn", seed=seed).template)
    known = first_frame(template.features.float(), method.learning)
    return Memory(Kernels(template.cls, template.loc), known)


@torch.inference_mode()
def looked(method, seed=0):
    """Memory, prediction, proposals, candidates of two random pairs; and how candidates are found among others."""
    batch, memory = micro.batch("dasiamrpn", seed=seed), begun(method, seed)
    prediction, size = method.network(memory.kernels, batch.search), batch.search.shape[-1]
    proposals = method.propose(prediction, torch.full((2, 2), 0.3 * size))

    @torch.inference_mode()
    def find(proposals):
        return method.find_candidates(prediction.features, discriminator(memory.known), proposals, size)

    return memory, find, proposals, find(proposals)


def test_candidates_and_their_winner():
    for gain in (0.0, 1.0):
        method = micro.tracker("dasiamrpn", f"TEST.DISTRACTOR.GAIN={gain}").method
        memory, _, proposals, candidates = looked(method)
        assert candidates.valid[:, 0].all() and (candidates.place[:, 0] == proposals.ranks.argmax(1)).all()
        norms = candidates.features.flatten(2).norm(dim=2)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        likeness = similarity(memory.known.first, candidates.features).masked_fill(~candidates.valid, -9)
        assert torch.equal(candidates.winner, likeness.argmax(1) if gain else torch.zeros(2, dtype=torch.long))


def test_box_that_is_not_a_number_is_no_candidate():
    _, find, proposals, before = looked(micro.tracker("dasiamrpn").method)
    boxes = proposals.boxes.clone()
    boxes[0, before.place[0, 0]] = torch.nan
    after = find(proposals._replace(boxes=boxes))
    assert before.place[0, 0] not in after.place[0][after.valid[0]] and after.features.isfinite().all()
    assert torch.equal(after.place[1], before.place[1])


def test_distractors_look_like_the_target_lie_elsewhere_and_are_not_too_many():
    method = micro.tracker("dasiamrpn", "TEST.DISTRACTOR.MOST=2").method
    centres = [[0, 0], [4, 0], [60, 0], [0, 60], [60, 60], [-60, 0]]
    boxes = torch.tensor([[[x, y, 40.0, 40.0] for x, y in centres]])
    count = boxes.shape[1]
    _, _, proposals, candidates = looked(method)
    proposals = proposals._replace(boxes=boxes)
    index = torch.arange(count)[None]
    valid = torch.ones(1, count, dtype=torch.bool)

    def chosen(scores, likeness, winner=0):
        found = candidates._replace(place=index, valid=valid, winner=torch.tensor([winner]))
        result = method.choose_distractors(proposals, found, torch.tensor([scores]), torch.tensor([likeness]))
        return torch.nonzero(result[0])[:, 0].tolist()

    high = [0.9] * count
    assert chosen(high, [0.99, 0.98, 0.6, 0.7, 0.4, 0.1]) == [2, 3], "not itself, its double, what looks different"
    assert chosen(high, [0.99, 0.98, 0.6, 0.7, 0.8, 0.1]) == [3, 4], "the most similar ones"
    assert chosen([0.9, 0.9, 0.9, 0.2, 0.9, 0.9], [0.99, 0.98, 0.6, 0.7, 0.4, 0.1]) == [2], "not what is improbable"
    assert chosen(high, [0.1] * count) == []


def test_nothing_is_learned_while_unsure():
    method = micro.tracker("dasiamrpn", *EAGER).method
    memory, _, proposals, candidates = looked(method)
    with torch.inference_mode():
        assert (method.learn(memory, proposals, candidates).known.frames == 2).all()
        unsure = proposals._replace(scores=proposals.scores.clone() * 0 + torch.tensor([[0.9], [0.1]]))
        method.rules.UPDATE_SCORE = 0.5
        assert method.learn(memory, unsure, candidates).known.frames.tolist() == [2, 1]


def scripted(scores, *changes):
    """A long-term tracker whose network gives every proposal the next of these scores."""
    tracker = trackers("TEST.SEARCH_SIZE=255", "DATA.SEARCH.SIZE=255", *changes, variant="dasiamrpn-long")
    model, forward, sizes = tracker.method.network, tracker.method.network.forward, []

    def answer(memory, search):
        prediction, score = forward(memory, search), scores[len(sizes)]
        sizes.append(search.shape[-1])
        logits = torch.zeros_like(prediction.logits)
        logits[:, 1] = np.log(score / (1 - score))
        return prediction._replace(logits=logits, deltas=torch.full_like(prediction.deltas, 0.05))

    model.forward = answer
    return tracker, sizes


def test_lost_target_waits_and_the_first_sure_frame_moves_it():
    scores = [0.9, 0.79, 0.5, 0.5, 0.85, 0.96, 0.9]
    tracker, sizes = scripted(scores)
    image = [np.random.default_rng(0).integers(0, 256, (720, 960, 3)).astype(np.uint8)]
    targets, boxes, found = tracker.start([image], [np.array([400.0, 300, 70, 60])]), [], []
    for _ in scores:
        targets = tracker.track(targets, [image])
        boxes.append(targets[0].box)
        found.append(targets[0].found)
        assert targets[0].score == pytest.approx(scores[len(boxes) - 1], abs=1e-5)
    assert sizes == golden.read("arithmetic")["long_term"]["sizes_step_256_max_767"]
    assert found == [True, False, False, False, False, True, True]
    moved = [np.abs(b - a).max() > 0.1 for a, b in zip(boxes, boxes[1:], strict=False)]
    assert moved == [True, False, False, True, True, True], "frames 3 and 4 scored below LOW while lost"
    assert targets[0].state.memory.known.frames == 3, (
        "learned from: the template, frames 1 and 7; 2 is not sure, 3 to 6 lost"
    )


def test_nothing_is_learned_while_lost():
    tracker, _ = scripted([0.5, 0.5])
    image = [np.random.default_rng(0).integers(0, 256, (720, 960, 3)).astype(np.uint8)]
    lost = tracker.track(tracker.start([image], [np.array([400.0, 300, 70, 60])]), [image])
    assert not lost[0].found
    assert tracker.track(lost, [image])[0].state.memory is lost[0].state.memory


def test_short_term_mode_always_sees_its_target_and_never_grows():
    rows = follow(trackers("TEST.LONG_TERM.LOW=1", "TEST.LONG_TERM.HIGH=1"), noisy_sequences())
    assert (rows[..., 5] == 159).all()


def test_template_is_cut_anew_when_it_is_due_and_the_target_in_sight():
    change = ["TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SHARE=0.25", "TEST.TEMPLATE_UPDATE.SCORE=0"]
    for variant in ("siamrpn", "dasiamrpn"):
        tracker, ((frames, box), *_) = trackers(*change, "TEST.MODE=plain", variant=variant), noisy_sequences()
        first = tracker.start([frames[0]], [box])
        one = tracker.track(first, [frames[1]])
        assert one[0].state.memory is first[0].state.memory, "not due"
        two = tracker.track(one, [frames[2]])
        fresh = tracker.start([frames[2]], [two[0].box])
        start, now, new = (kernels_of(targets[0]) for targets in (first, two, fresh))
        for name in ("cls", "loc"):
            expected = 0.75 * getattr(start, name) + 0.25 * getattr(new, name)
            torch.testing.assert_close(getattr(now, name), expected)
        if variant == "dasiamrpn":
            assert two[0].state.memory.known is first[0].state.memory.known, "what is learned stays with the first"
    target, frame = replace(first[0], age=4, score=0.7), read_frame(frames[2], Streams(1), "walk")

    def wants(target, *changes):
        return bool(trackers(*changes).method.update_views(target, frame))

    sure = [*change[:2], "TEST.TEMPLATE_UPDATE.SCORE=0.6"]
    assert wants(target, *sure) and not wants(replace(target, score=0.5), *sure)
    assert not wants(replace(target, age=5), *sure) and not wants(replace(target, found=False), *sure)
    assert not wants(replace(target, score=1.0))


@pytest.mark.parametrize("variant", ["siamrpn", "dasiamrpn"])
def test_new_template_is_padded_with_the_first_frames_mean(variant):
    """A template at the border is cut anew from a frame that is brighter than the first one."""
    tracker = trackers("TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SCORE=0", variant=variant)
    dark, bright = (np.full((120, 160, 3), value, np.uint8) for value in (40, 200))
    (first,) = tracker.start([[dark]], [np.array([0.0, 40, 30, 40])])
    (view,) = tracker.method.update_views(replace(first, age=2), read_frame([bright], Streams(1), "brighter"))
    corners = cut(bright, view)[[0, -1], 0]
    np.testing.assert_array_equal(corners, np.full((2, 3), 40))


def kernels_of(target):
    memory = target.state.memory
    return getattr(memory, "kernels", memory)


def test_half_precision_gives_nearly_the_same_maps():
    first, second = (micro.model("dasiamrpn", "MODEL.CORR_SCALE=1e-3") for _ in range(2))
    second.cast(torch.bfloat16)
    half, batch = second, micro.batch("dasiamrpn")
    with torch.inference_mode():
        expected = first(first.embed(batch.template), batch.search)
        given = half(half.embed(batch.template.bfloat16()), batch.search.bfloat16())
    assert given.logits.dtype == given.deltas.dtype == torch.float32
    for name in ("logits", "deltas"):
        a, b = getattr(expected, name), getattr(given, name)
        assert (a - b).abs().max() < 0.05 * a.abs().max()


def test_infrared_beside_the_visible_image_changes_nothing():
    videos = noisy_sequences(1)
    both = [([[*frame, 255 - frame[0]] for frame in frames], box) for frames, box in videos]
    np.testing.assert_array_equal(follow(trackers(), both), follow(trackers(), videos))
