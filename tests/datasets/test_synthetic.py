"""Synthetic sequences: exact boxes, the same pixels everywhere."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.core.errors import InputError
from lib.datasets import load_dataset
from lib.datasets.synthetic import stream, stream_training, stream_validation
from lib.datasets.synthetic.material import list_material, load_material
from lib.datasets.synthetic.render import render, target_mask
from lib.datasets.synthetic.staging import stage

DRAWN = Path("")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of each kind of material: photographs, cut-outs, aligned stills."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for sub in ("set/visible", "set/infrared", "cut", "plain"):
        (folder / sub).mkdir(parents=True)
    for k in range(24):
        noise = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (160, 120))
        cv2.imwrite(str(folder / f"plain/{k}.jpg"), noise)
        heat = np.full((120, 160), 40, np.uint8)
        cv2.ellipse(heat, (30 + 4 * k, 60), (7, 15), 0, 0, 360, 220, -1)
        cv2.imwrite(str(folder / f"set/visible/{k}.png"), noise)
        cv2.imwrite(str(folder / f"set/infrared/{k}.png"), heat)
        alpha = np.zeros((60, 80, 1), np.uint8)
        cv2.circle(alpha, (40, 30), 20, 255, -1)
        cv2.imwrite(str(folder / f"cut/things__{k}.png"), np.dstack([noise[:60, :80], alpha]))
    return folder


@pytest.fixture(scope="module")
def scenes() -> list:
    return [sequence.frames.scene for sequence in stream(DRAWN, 40, held_out=False, frames=24)]


def test_boxes_agree_with_the_rendered_mask(scenes):
    errors = []
    for scene in scenes:
        for frame in range(0, 24, 5):
            x, y, w, h = scene.boxes[frame]
            if w > 0:
                left, top, width, height = cv2.boundingRect(target_mask(scene, frame).astype(np.uint8))
                errors.append([left - x, top - y, left + width - x - w, top + height - y - h])
    assert len(errors) > 100
    assert np.abs(errors).max() <= 1
    assert np.abs(np.mean(errors, axis=0)).max() < 0.2, "edges of pixels, not their centres"


def test_the_infrared_background_is_no_copy_of_the_visible_one(scenes):
    """The share of its variance that a linear mix of the colours explains, which a network could undo."""
    explained = []
    for scene in scenes:
        height, width = scene.background_infrared.shape[:2]
        colours = cv2.resize(scene.background, (width, height))[::4, ::4].reshape(-1, 3).astype(float)
        heat = scene.background_infrared[::4, ::4].reshape(-1).astype(float)
        mix = np.column_stack([colours, np.ones(len(colours))])
        rest = heat - mix @ np.linalg.lstsq(mix, heat, rcond=None)[0]
        explained.append(1 - rest.var() / max(heat.var(), 1e-9))
    assert np.mean(explained) < 0.45


def test_the_mask_is_where_the_target_was_drawn(scenes):
    """The box tells where pixels change when the target is taken away, in whichever modality shows it."""
    seen = 0
    for scene in scenes:
        x, y, w, h = scene.boxes[0]
        if scene.weather.informative != "both" or scene.visible_share[0] < 0.99 or min(w, h) < 14:
            continue
        mask = np.zeros((scene.size[1], scene.size[0]), bool)
        mask[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] = True
        change = _drawn_difference(scene)
        assert change[mask].mean() > 6 * change[~mask].mean()
        seen += 1
    assert seen >= 8


def _drawn_difference(scene) -> np.ndarray:
    """[H, W] change of the frame without its target; everything else, noise included, is the same."""
    target = scene.actors[scene.target]
    hidden = replace(target, opacity=0.0)
    without = replace(scene, actors=[hidden if actor is target else actor for actor in scene.actors])
    pairs = zip(render(scene, 0), render(without, 0), strict=True)
    return sum(cv2.absdiff(a, b).max(2).astype(float) for a, b in pairs)


def test_order_of_access_and_process_do_not_matter(tmp_path):
    sequence = stream_training(DRAWN)[7]
    forward = [sequence.frames[k] for k in (0, 5, 9)]
    code = (
        "import sys, pickle, numpy as np; from pathlib import Path\n"
        "from lib.datasets.synthetic import stream_training\n"
        "s = stream_training(Path(''))[7]\n"
        "frames = {k: s.frames[k] for k in (9, 0, 5)}\n"
        "pickle.dump(([frames[k] for k in (0, 5, 9)], s.boxes), open(sys.argv[1], 'wb'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other.pkl")], check=True, cwd=ROOT)
    with open(tmp_path / "other.pkl", "rb") as file:
        frames, boxes = pickle.load(file)
    np.testing.assert_array_equal(forward, frames)
    np.testing.assert_array_equal(sequence.boxes, boxes)


def test_other_seeds_and_splits_give_other_pictures():
    first, second = stream_training(DRAWN)[:2]
    held_out = stream_validation(DRAWN)[0]
    assert (first.frames[0][0] != second.frames[0][0]).mean() > 0.5
    assert (first.frames[0][0] != held_out.frames[0][0]).mean() > 0.5
    again = stream(DRAWN, 1, held_out=False, frames=48, seed=1)[0]
    assert (first.frames[0][0] != again.frames[0][0]).mean() > 0.5


def test_sequences_are_cheap_to_make_and_to_send():
    sequences = stream_training(DRAWN)
    assert len(sequences) >= 1000
    assert len({sequence.name for sequence in sequences}) == len(sequences)
    sent = pickle.loads(pickle.dumps(sequences[3]))
    assert len(pickle.dumps(sequences[3])) < 1000
    np.testing.assert_array_equal(sent.boxes, sequences[3].boxes)
    assert len(sent) == len(sent.boxes) == len(sent.visible_share) == 48


def test_frames_have_the_promised_form():
    sequence = stream(DRAWN, 1, held_out=True, frames=5, size=(200, 160))[0]
    visible, infrared = sequence.frames[-1]
    assert visible.shape == infrared.shape == (160, 200, 3)
    assert visible.dtype == infrared.dtype == np.uint8
    assert (infrared[..., 0] == infrared[..., 1]).all() and (infrared[..., 0] == infrared[..., 2]).all()
    with pytest.raises(IndexError):
        sequence.frames[5]


def test_distractors_are_near_the_target(scenes):
    """In most frames another thing is inside the search region (4 times the target's size)."""
    near = []
    for scene in scenes:
        assert any(actor.role in ("twin", "same_kind") for actor in scene.actors)
        for frame in np.nonzero(scene.boxes[:, 2] > 0)[0]:
            x, y, w, h = scene.boxes[frame]
            reach = 2 * np.sqrt(w * h)
            others = [a.boxes[frame] for a in scene.actors if a.role not in ("target", "occluder")]
            centres = np.array([box[:2] + box[2:] / 2 for box in others])
            near.append((np.abs(centres - (x + w / 2, y + h / 2)) < reach).all(1).any())
    assert np.mean(near) > 0.8


def test_first_frame_shows_the_target(scenes):
    assert all(scene.boxes[0, 2] > 0 and scene.visible_share[0] > 0.8 for scene in scenes)


def test_target_leaves_and_is_covered_in_some_sequences(scenes):
    assert any((scene.boxes[:, 2] == 0).any() for scene in scenes)
    covered = np.concatenate([scene.visible_share[scene.boxes[:, 2] > 0] for scene in scenes])
    assert (covered < 0.5).any() and (covered > 0.95).mean() > 0.5
    for scene in scenes:
        inside = scene.boxes[:, :2] + scene.boxes[:, 2:] <= np.array(scene.size) + 1e-6
        assert inside.all() and (scene.boxes >= 0).all()


def test_informative_modality_follows_its_shares():
    material = load_material(DRAWN, False)
    drawn = [stage(material, seed, 4, (64, 64)).weather.informative for seed in range(300)]
    for name, share in (("both", 0.6), ("visible", 0.15), ("infrared", 0.25)):
        assert abs(np.mean([kind == name for kind in drawn]) - share) < 0.08


def test_a_folder_is_sorted_by_what_its_pictures_are(photos):
    listing = list_material(photos)
    assert (len(listing.photos), len(listing.cutouts), len(listing.stills)) == (24, 24, 24)
    training, held_out = load_material(photos, False), load_material(photos, True)
    assert len(training.photos) + len(held_out.photos) == 24
    assert len(training.stills) + len(held_out.stills) == 24
    assert len(training.bodies) >= 5
    sequence = stream(photos, 3, held_out=False, frames=6)[2]
    assert sequence.frames[0][0].std() > 1


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_of_no_use_is_named(tmp_path, empty):
    folder = tmp_path if empty else tmp_path / "missing"
    with pytest.raises(InputError, match="photos_dir"):
        load_dataset("synthetic_train", {"photos_dir": str(folder)})


def test_sequences_know_their_category_and_their_distractors():
    sequences = stream(DRAWN, 40, held_out=False, frames=10)
    assert {sequence.category for sequence in sequences} == {"person", "cutout", "piece"}
    for sequence in sequences[:8]:
        scene = sequence.frames.scene
        things = {k for k, actor in enumerate(scene.actors) if actor.role not in ("target", "occluder")}
        for frame in range(10):
            boxes = sequence.objects.others(frame)
            assert len(boxes) <= len(things) and (boxes[:, :2] >= 0).all()
            assert (boxes[:, :2] + boxes[:, 2:] <= scene.size).all() and (boxes[:, 2:] > 0).all()
            box = sequence.boxes[frame]
            assert not len(boxes) or np.abs(boxes - box).max(1).min() > 0, "the target is no other object"
            own = scene.objects[(scene.objects[:, 0] == frame) & (scene.objects[:, 1] == scene.target), 2:]
            assert not len(own) or (np.abs(own[0, :2] + own[0, 2:] / 2 - box[:2] - box[2:] / 2) <= box[2:] / 4).all()
    assert any(len(sequence.objects.others(5)) for sequence in sequences[:8])
