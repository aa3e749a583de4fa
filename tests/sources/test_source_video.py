from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from source_helpers import config_with, only_item, read, unit_over, without_shots
from source_media import MEDIA, picture, write_video

from mimic import sources
from mimic.errors import SourceError
from mimic.pyav import open_video
from mimic.types import Span

REAL = (
    "apple_orbit_hevc.mp4",
    "av1.mkv",
    "bikes_cuts.mp4",
    "family_orbit_1fps.mp4",
    "gopro_path_walk.mp4",
    "highway_forward.mp4",
    "highway_vfr.mp4",
    "lady_running_mpeg4.mp4",
    "megamind_cuts.avi",
    "nasa_multistream_cuts.mp4",
    "office_walk_vp9.webm",
    "path_walk_rot90.mov",
    "tree_cinepak.avi",
    "truncated.mp4",
)


def assert_units_are_parts_of_the_whole(path: Path, starts: list[int], length: int) -> None:
    config = config_with()
    item = only_item(path, config)
    whole = read(unit_over(item, Span(0, None), config), config)
    assert len(whole) > 3
    for first in starts:
        unit = unit_over(item, Span(first, first + length), config)
        expected = [frame for frame in whole if first <= frame.slot < first + length + 2]
        assert without_shots(read(unit, config, margin=2)) == without_shots(expected)


@pytest.mark.parametrize("name", MEDIA)
def test_a_unit_read_by_seeking_is_that_part_of_the_whole(name: str, media: Path) -> None:
    assert_units_are_parts_of_the_whole(media / name, starts=[0, 1, 3, 5, 7, 9, 11, 40], length=2)


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_a_unit_of_real_footage_is_that_part_of_the_whole(name: str, real_data: Path) -> None:
    path = real_data / "videos" / name
    assert_units_are_parts_of_the_whole(path, starts=[1, 9, 22, 31], length=3)


@pytest.mark.parametrize("name", MEDIA)
def test_every_frame_is_decoded_in_order_with_its_own_picture(name: str, media: Path) -> None:
    with open_video(str(media / name), name) as video:
        frames = [(frame.time_s, frame.rgb()) for frame in video.decode()]
    assert len(frames) == 100
    for i in (0, 1, 50, 98, 99):
        assert np.abs(frames[i][1].astype(int) - picture(i)).mean() < 30
    if name != "vfr.mkv":
        assert [time for time, _ in frames] == [Fraction(i, 25) for i in range(100)]


@pytest.mark.data
def test_slot_k_of_the_office_walk_is_frame_5k(real_data: Path) -> None:
    path = real_data / "videos" / "office_walk_vp9.webm"
    config = config_with()
    with open_video(str(path), path.name) as video:
        labels = [f"{float(frame.pts_s):.6f}" for frame in video.decode()]
    frames = read(unit_over(only_item(path, config), Span(0, None), config), config)
    assert [(frame.slot, frame.label) for frame in frames] == [
        (k, labels[5 * k]) for k in range(75)
    ]


def test_rotation_tags_turn_frames_upright(tmp_path: Path) -> None:
    pictures = [picture(0)] * 10
    plain = write_video(tmp_path / "plain.mp4", pictures=pictures)
    tagged = write_video(tmp_path / "tagged.mp4", pictures=pictures, rotation=90)
    with open_video(str(plain), "") as a, open_video(str(tagged), "") as b:
        upright, turned = (next(v.decode()).rgb() for v in (a, b))
    assert turned.shape == (96, 64, 3)
    np.testing.assert_array_equal(turned, np.rot90(upright))


def test_pixels_that_are_not_square_are_made_square_by_growing(tmp_path: Path) -> None:
    wide = write_video(tmp_path / "wide.mp4", frames=5, sar=Fraction(2, 1))
    tall = write_video(tmp_path / "tall.mp4", frames=5, sar=Fraction(1, 2))
    almost = write_video(tmp_path / "almost.mp4", frames=5, sar=Fraction(1280, 1281))
    shapes = []
    for path in (wide, tall, almost):
        with open_video(str(path), "") as video:
            shapes.append(next(video.decode()).rgb().shape)
    assert shapes == [(64, 192, 3), (128, 96, 3), (64, 96, 3)]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx265", "yuv420p10le"), ("libx264", "gray"), ("ffv1", "bgr0")]
)
def test_deep_grey_and_rgb_pixels_become_rgb(codec: str, pix_fmt: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else None
    path = write_video(tmp_path / "v.mkv", codec, 10, pix_fmt=pix_fmt, options=options)
    with open_video(str(path), "") as video:
        frame = next(video.decode())
        rgb, thumb = frame.rgb(), video.thumb(frame)
    expected = picture(0).astype(int)
    if pix_fmt == "gray":
        expected = (expected @ [0.299, 0.587, 0.114])[..., None]
    assert rgb.dtype == np.uint8
    assert np.abs(rgb - expected).mean() < 20
    assert thumb.shape == (36, 64)


def test_of_several_streams_the_largest_is_read_or_the_one_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "two.mp4", frames=30, sizes=((64, 48), (96, 64)))
    sizes = {}
    ids = {}
    for wanted in ("null", "0", "1"):
        config = config_with(f"source.video.stream={wanted}")
        (unit,) = sources.split(only_item(path, config), config)
        frames = read(unit, config)
        sizes[wanted], ids[wanted] = frames[0].size, frames[0].frame_id
    assert sizes == {"null": (96, 64), "0": (64, 48), "1": (96, 64)}
    assert ids["null"] == ids["1"] != ids["0"]


def test_time_starts_at_the_first_frame_and_labels_keep_the_file_s_clock(media: Path) -> None:
    config = config_with()
    (unit,) = sources.split(only_item(media / "late_start.mp4", config), config)
    frames = read(unit, config)
    assert [frame.slot for frame in frames] == list(range(13))
    assert frames[0].label == "4.000000"
    assert frames[3].label == "5.000000"


def test_a_broken_tail_ends_the_stream_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_video(tmp_path / "whole.mkv", frames=100)
    data = whole.read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data[: len(data) // 2])
    config = config_with()
    frames = read(sources.split(only_item(broken, config), config)[0], config)
    assert "broken.mkv: " in caplog.text
    with open_video(str(whole), "") as a, open_video(str(broken), "") as b:
        sound = [frame.rgb() for frame in a.decode()]
        kept = [frame.rgb() for frame in b.decode()]
    assert 20 < len(kept) < 80
    assert len(frames) >= 3
    np.testing.assert_array_equal(kept, sound[: len(kept)])


def test_damage_in_the_middle_costs_its_group_of_pictures_wherever_reading_began(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "v.mkv", "mpeg4", frames=200, b_frames=0)
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 600] = bytes(600)
    path.write_bytes(bytes(data))
    assert_units_are_parts_of_the_whole(path, starts=[8, 10, 12, 14, 16, 18, 20, 23], length=2)


@pytest.mark.data
def test_a_truncated_file_gives_what_decodes_and_says_so(
    real_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = real_data / "videos" / "truncated.mp4"
    config = config_with()
    frames = read(sources.split(only_item(path, config), config)[0], config)
    assert len(frames) == 13
    assert "truncated.mp4: the file is damaged at 3.960 s" in caplog.text


def test_long_files_are_cut_by_their_header_and_the_last_unit_goes_to_the_end(media: Path) -> None:
    config = config_with("source.video.probe_above_mb=0", "source.video.unit_s=1")
    item = only_item(media / "h264_b.mp4", config)
    units = sources.split(item, config)
    assert item.footage_s == pytest.approx(4.0)
    spans = [(unit.span.first, unit.span.last) for unit in units]
    assert spans == [(0, 3), (3, 6), (6, 9), (9, None)]
    assert len({unit.unit_id for unit in units}) == len({unit.seed for unit in units}) == 4
    assert sum(unit.footage_s for unit in units) == pytest.approx(4.0)
    slots = [frame.slot for unit in units for frame in read(unit, config)]
    assert slots == list(range(13))


def test_small_files_are_not_opened_by_the_plan(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    config = config_with("source.video.unit_s=0.001")
    (unit,) = sources.split(only_item(tmp_path / "a.mp4", config), config)
    assert unit.span == Span(0, None)
    with pytest.raises(SourceError, match=r"a\.mp4: not a video that can be opened") as caught:
        read(unit, config)
    assert caught.value.reason == "unreadable"


def test_a_unit_past_the_end_is_empty(media: Path) -> None:
    config = config_with()
    item = only_item(media / "vp9.webm", config)
    assert read(unit_over(item, Span(500, None), config), config) == []


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reason", "sentence"),
    [
        ("audio_only.mp3", "no_video_stream", "audio_only.mp3: has no video stream (only audio)"),
        ("not_a_video.mp4", "unreadable", "not_a_video.mp4: not a video that can be opened"),
    ],
)
def test_bad_files_say_what_they_are(
    name: str, reason: str, sentence: str, real_data: Path
) -> None:
    config = config_with("source.kind=video")
    (unit,) = sources.split(only_item(real_data / "videos" / name, config), config)
    with pytest.raises(SourceError) as caught:
        read(unit, config)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(sentence)


def test_a_stream_that_is_not_there_is_said(media: Path) -> None:
    config = config_with("source.video.stream=3")
    (unit,) = sources.split(only_item(media / "vp9.webm", config), config)
    with pytest.raises(SourceError, match=r"1 video stream\(s\), none with index 3"):
        read(unit, config)


def test_a_file_that_vanished_or_changed_since_the_plan_is_said(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=30)
    config = config_with()
    (unit,) = sources.split(only_item(path, config), config)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"v\.mp4: has changed") as changed:
        read(unit, config)
    path.unlink()
    with pytest.raises(SourceError, match=r"v\.mp4: has vanished") as vanished:
        read(unit, config)
    assert (changed.value.reason, vanished.value.reason) == ("changed", "vanished")


@pytest.mark.parametrize("name", ["late_seek.ts", "dissolve.mp4"])
def test_a_unit_reads_enough_before_its_first_slot(name: str, tmp_path: Path) -> None:
    """Seeks that land too late are repeated; a dissolve is judged from its whole length."""
    a, b = picture(0).astype(float), picture(90, seed=3).astype(float)
    weights = np.clip((np.arange(220) - 100) / 30, 0, 1)
    mixed = [(a * (1 - w) + b * w).astype(np.uint8) for w in weights]
    path = write_video(
        tmp_path / name,
        pictures=mixed if name == "dissolve.mp4" else [picture(i) for i in range(220)],
        gop=25 if name == "dissolve.mp4" else 110,
        options={"x264-params": "scenecut=0"},
    )
    config = config_with()
    if name == "dissolve.mp4":
        shots = [
            frame.shot
            for frame in read(unit_over(only_item(path, config), Span(0, None), config), config)
        ]
        assert shots[-1] - shots[0] == 1
    assert_units_are_parts_of_the_whole(path, starts=list(range(9, 26)), length=4)
