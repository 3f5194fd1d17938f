"""ImageNet VID, on a small tree in its layout."""

from pathlib import Path

import pytest
from trees import put_images

from lib.core.errors import InputError
from lib.datasets import index, load_dataset, load_training_set
from lib.datasets.readers import imagenetvid


def put_vid(root: Path, frames: dict[int, list[tuple[int, int, int, int, int, int]]], name: str = "v1") -> None:
    """frames: number -> (track, xmin, ymin, xmax, ymax, occluded) of its objects."""
    part = Path("train") / "ILSVRC2015_VID_train_0000" / name
    images = [f"{number:06d}.JPEG" for number in range(max(frames) + 1)]
    put_images(root / "Data" / "VID" / part, images)
    (root / "Annotations" / "VID" / part).mkdir(parents=True)
    for number, objects in frames.items():
        items = "".join(
            f"<object><trackid>{track}</trackid><name>n02</name><bndbox><xmax>{right}</xmax><xmin>{left}</xmin>"
            f"<ymax>{bottom}</ymax><ymin>{top}</ymin></bndbox><occluded>{occluded}</occluded></object>"
            for track, left, top, right, bottom, occluded in objects
        )
        path = root / "Annotations" / "VID" / part / f"{number:06d}.xml"
        path.write_text(f"<annotation><folder>v1</folder><filename>{number:06d}</filename>{items}</annotation>")


def test_imagenet_vid_tracks_are_sequences(tmp_path, caplog):
    whole, other = (0, 1, 2, 5, 7, 0), (1, 0, 0, 4, 4, 1)
    put_vid(tmp_path, {0: [whole], 1: [whole, other], 2: [whole], 3: [other, (2, 1, 1, 2, 2, 0)], 4: []})
    first, second = load_training_set("IMAGENETVID", {"imagenet_dir": str(tmp_path)})
    assert (first.name, second.name) == ("v1_0", "v1_1") and "has 3862" in caplog.text  # the third has one box alone
    assert first.boxes.tolist() == [[1, 2, 4, 5]] * 3 and first.visible_share.tolist() == [1, 1, 1]
    assert second.boxes.tolist() == [[0, 0, 4, 4], [0, 0, 0, 0], [0, 0, 4, 4]] and len(second) == 3
    assert second.valid.tolist() == [True, False, True] and second.visible_share.tolist() == [0, 0, 0]
    assert [round(float(second.frames[index][0].mean()), -1) for index in range(3)] == [10, 20, 30]


def test_imagenet_vid_files_that_are_wrong(tmp_path):
    put_vid(tmp_path, {0: [(0, 1, 2, 5, 7, 0)], 1: [(0, 1, 2, 5, 7, 0)]})
    folder = tmp_path / "Annotations" / "VID" / "train" / "ILSVRC2015_VID_train_0000" / "v1"
    image = tmp_path / "Data" / "VID" / folder.relative_to(tmp_path / "Annotations" / "VID") / "000001.JPEG"
    content = image.read_bytes()
    image.unlink()
    with pytest.raises(InputError, match="000001.JPEG: image does not exist"):
        imagenetvid.read_training(tmp_path)
    image.write_bytes(content)
    for text in ("<annotation><object>", "<a><object><trackid>0</trackid></object></a>"):
        (folder / "000001.xml").write_text(text)
        with pytest.raises(InputError, match="000001.xml: not an annotation of ImageNet VID"):
            imagenetvid.read_training(tmp_path)


def test_videos_that_did_not_change_are_not_parsed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "MIN_FILES", 1)
    monkeypatch.setattr(index, "SETTLED", -(10**12))
    for name in ("v1", "v2"):
        put_vid(tmp_path, {0: [(0, 1, 2, 5, 7, 0)], 1: [(0, 1, 2, 5, 7, 0)]}, name)
    parsed, real = [], imagenetvid.read_objects
    monkeypatch.setattr(imagenetvid, "read_objects", lambda folder: parsed.append(folder.name) or real(folder))
    folders = {"imagenet_dir": str(tmp_path)}
    load_dataset("imagenetvid", folders)
    assert len(load_dataset("imagenetvid", folders)) == 2 and parsed == ["v1", "v2"]
    path = next((tmp_path / "Annotations").rglob("v2/000001.xml"))
    path.write_text(path.read_text().replace("<xmin>1<", "<xmin>3<"))  # the folder's own times stay
    sequences = load_dataset("imagenetvid", folders)
    assert parsed == ["v1", "v2", "v2"] and sequences[1].boxes[1].tolist() == [3, 2, 2, 5]
