from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from source_helpers import config_with, only_item, read, skipped, unit_over
from source_media import picture

from mimic import sources
from mimic.errors import MimicError, SourceError
from mimic.opencv import encode_jpeg
from mimic.types import SourceItem, Span


def write_picture(path: Path, i: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(picture(i), 95))
    return path


def items(where: Path, *assignments: str) -> list[SourceItem]:
    found = sources.discover(str(where), config_with(*assignments))
    return [item for item in found if isinstance(item, SourceItem)]


def paths(item: SourceItem) -> list[str]:
    return [member.rpartition("#")[0] for member in item.members]


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    for i, name in enumerate(
        ("rome/b.jpg", "rome/a.JPG", "oslo/x_1.png", "oslo/y_1.png", "oslo/z_2.png")
    ):
        write_picture(tmp_path / name, i * 7)
    return tmp_path


def test_a_folder_is_a_group(towns: Path) -> None:
    found = items(towns)
    assert [(item.kind, item.name, item.scene, paths(item)) for item in found] == [
        ("photos", "oslo", "oslo", ["x_1.png", "y_1.png", "z_2.png"]),
        ("photos", "rome", "rome", ["a.JPG", "b.jpg"]),
    ]


def test_an_expression_makes_groups_across_folders(towns: Path) -> None:
    write_picture(towns / "rome/c_1.jpg", 90)
    pattern = r"source.photos.group_regex=_(\d)\."
    found = items(towns, pattern)
    assert [(item.name, paths(item)) for item in found] == [
        ("1", ["oslo/x_1.png", "oslo/y_1.png", "rome/c_1.jpg"])
    ]
    assert [(s.reason, s.message) for s in skipped(towns, config_with(pattern))] == [
        ("single", "oslo/z_2.png: the only picture of its group, no pair"),
        (
            "unmatched",
            "2 picture(s) do not match source.photos.group_regex, first rome/a.JPG",
        ),
    ]


def test_frames_are_the_pictures_and_their_ids_do_not_depend_on_the_unit(tmp_path: Path) -> None:
    for i in range(11):
        write_picture(tmp_path / "g" / f"p{i:02}x.png", 3 * i)
    config = config_with("source.photos.unit_images=4", "sampling.group_window=3")
    item = only_item(tmp_path, config)
    units = sources.split(item, config)
    assert [(u.span.first, u.span.last) for u in units] == [(0, 4), (4, 8), (8, None)]
    assert [len(u.item.members) for u in units] == [7, 7, 3]
    whole = read(unit_over(item, Span(0, None), config_with()), config)
    parts = [read(unit, config, margin=3) for unit in units]
    assert [f.slot for f in whole] == list(range(11))
    assert parts == [whole[0:7], whole[4:11], whole[8:11]]
    assert len({f.frame_id for f in whole}) == 11
    assert [f.label for f in whole][:2] == ["p00x.png", "p01x.png"]


def test_a_broken_picture_is_left_out_and_named(
    towns: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (towns / "oslo/y_1.png").write_bytes(b"\xff\xd8 not really")
    oslo = items(towns)[0]
    config = config_with()
    frames = read(sources.split(oslo, config)[0], config)
    assert [(f.slot, f.label) for f in frames] == [(0, "x_1.png"), (2, "z_2.png")]
    assert "oslo: y_1.png: left out, not a picture" in caplog.text


def test_pictures_that_vanished_or_changed_are_said(towns: Path) -> None:
    config = config_with()
    (unit,) = sources.split(items(towns)[1], config)
    write_picture(towns / "rome/b.jpg", 50)
    with pytest.raises(SourceError, match=r"rome: b\.jpg: has changed") as changed:
        read(unit, config)
    (towns / "rome/b.jpg").unlink()
    with pytest.raises(SourceError, match=r"rome: b\.jpg: has vanished") as vanished:
        read(unit, config)
    assert (changed.value.reason, vanished.value.reason) == ("changed", "vanished")


def test_the_same_photos_in_another_folder_are_the_same_units(towns: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "deep"
    shutil.copytree(towns / "oslo", copy / "oslo")
    shutil.copytree(towns / "rome", copy / "rome")
    config = config_with()
    here = [u.unit_id for item in items(copy) for u in sources.split(item, config)]
    shutil.rmtree(tmp_path / "elsewhere")
    there = [u.unit_id for item in items(towns) for u in sources.split(item, config)]
    assert here == there


def test_numbered_pictures_are_recognised_as_frames_in_the_order_of_their_numbers(
    tmp_path: Path,
) -> None:
    for i in range(14):
        write_picture(tmp_path / "walk" / f"frame{i * 5}.jpg", i)
    for i in range(14):
        write_picture(tmp_path / "trip" / f"IMG_{i:04}.jpg", 50 + i)
    config = config_with("source.photos.interval_s=0.5")
    recognised = sources.recognise(str(tmp_path), config)
    assert recognised.counts == {"photos": 14, "frames": 14}
    assert recognised.sentence.startswith(f"{tmp_path}: 14 photos, 14 extracted frames")
    trip, walk = items(tmp_path, "source.photos.interval_s=0.5")
    assert (trip.kind, walk.kind) == ("photos", "frames")
    assert paths(walk) == [f"frame{i * 5}.jpg" for i in range(14)]
    with sources.open_unit(sources.split(walk, config)[0], config, 0) as frames:
        assert [frame.pts_s for frame in frames] == [i * 0.5 for i in range(14)]


@pytest.mark.parametrize("break_it", ["few", "irregular", "sizes"])
def test_numbered_pictures_that_are_no_video_stay_photos(break_it: str, tmp_path: Path) -> None:
    numbers = {"few": range(8), "irregular": [i * i for i in range(14)], "sizes": range(14)}
    for n in numbers[break_it]:
        write_picture(tmp_path / f"v{n:04}.jpg", n % 50)
    if break_it == "sizes":
        (tmp_path / "v0013.jpg").write_bytes(encode_jpeg(picture(0, 64, 64), 95))
    assert sources.recognise(str(tmp_path), config_with()).counts.keys() == {"photos"}
    forced = sources.recognise(str(tmp_path), config_with("source.kind=frames"))
    assert forced.counts.keys() == {"frames"}


def test_scenes_come_from_the_name(towns: Path) -> None:
    found = items(towns, "source.scene_regex=^(.)", "source.dataset=towns")
    assert [(item.scene, item.dataset) for item in found] == [("o", "towns"), ("r", "towns")]


def test_a_forced_kind_without_such_files_is_said(towns: Path) -> None:
    with pytest.raises(MimicError, match="holds 5 files, but no videos"):
        items(towns, "source.kind=video")


@pytest.mark.data
def test_real_photo_groups(real_data: Path) -> None:
    found = items(real_data / "photos")
    counts = {item.name: len(item.members) for item in found}
    assert counts["sceaux_castle"] == 8
    assert counts["sacre_coeur"] == 10
    config = config_with()
    with sources.open_unit(sources.split(found[0], config)[0], config, 32) as frames:
        assert all(frame.rgb.dtype == np.uint8 and frame.rgb.ndim == 3 for frame in frames)
    towers = items(real_data / "photos/phototourism", "source.photos.group_regex=^([a-z_]+)_")
    assert sum(len(item.members) for item in towers) == 6
    assert [item.name for item in towers] == ["london_bridge", "st_pauls_cathedral"]
