from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mimic.pyav import THUMB_SIZE, open_video
from mimic.sources.cuts import HISTORY, shots

THRESHOLD = 0.35
WIDTH, HEIGHT = THUMB_SIZE


def scene(seed: int, smooth: int = 16) -> np.ndarray:
    """A wide picture to pan over."""
    coarse = np.random.default_rng(seed).integers(20, 235, (12, 120)).astype(float)
    return coarse.repeat(smooth, 0).repeat(smooth, 1)


def pan(picture: np.ndarray, frames: int, speed: int, start: int = 0) -> list[np.ndarray]:
    return [
        picture[:HEIGHT, start + speed * i : start + speed * i + WIDTH].astype(np.uint8)
        for i in range(frames)
    ]


def cuts_in(thumbs: list[np.ndarray]) -> list[int]:
    found = [shot for _, shot in shots(((None, thumb) for thumb in thumbs), [], THRESHOLD)]
    assert len(found) == len(thumbs)
    return [i for i, (a, b) in enumerate(pairwise(found), 1) if a != b]


def test_cuts_between_still_and_between_moving_shots() -> None:
    still = pan(scene(0), 30, 0) + pan(scene(1), 30, 0) + pan(scene(2), 30, 0)
    moving = pan(scene(0), 40, 2) + pan(scene(1), 40, 2)
    assert cuts_in(still) == [30, 60]
    assert cuts_in(moving) == [40]


@pytest.mark.parametrize("speed", [1, 4, 9])
def test_a_pan_is_not_a_cut_however_fast(speed: int) -> None:
    assert cuts_in(pan(scene(3), 60, speed)) == []


def test_a_whip_pan_that_begins_suddenly_is_not_a_cut() -> None:
    assert cuts_in(pan(scene(3), 30, 0) + pan(scene(3), 12, 30) + pan(scene(3), 30, 0, 330)) == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_not_a_cut(length: int) -> None:
    frames = pan(scene(4), 60, 1)
    for i in range(30, 30 + length):
        frames[i] = np.full_like(frames[i], 250)
    assert cuts_in(frames) == []


def test_a_dissolve_is_one_cut_and_a_fade_of_the_light_is_none() -> None:
    a, b = pan(scene(5), 80, 0), pan(scene(6), 80, 0)
    weights = np.clip((np.arange(80) - 30) / 20, 0, 1)
    dissolve = [
        (x * (1 - w) + y * w).astype(np.uint8) for x, y, w in zip(a, b, weights, strict=True)
    ]
    dimmed = [(x * (1 - 0.7 * w)).astype(np.uint8) for x, w in zip(a, weights, strict=True)]
    assert len(cuts_in(dissolve)) == 1
    assert 30 < cuts_in(dissolve)[0] <= 54
    assert cuts_in(dimmed) == []


def test_decisions_do_not_depend_on_where_reading_begins() -> None:
    a = pan(scene(7), 50, 2)
    weights = np.linspace(0, 1, 24)
    mixed = [
        (x * (1 - w) + y * w).astype(np.uint8)
        for x, y, w in zip(pan(scene(7), 24, 0, 98), pan(scene(8), 24, 0), weights, strict=True)
    ]
    thumbs = a + mixed + pan(scene(8), 40, 0) + pan(scene(9), 30, 1)
    whole = [shot for _, shot in shots(((None, t) for t in thumbs), [], THRESHOLD)]
    assert whole[-1] == 2
    for start in range(HISTORY, len(thumbs) - 1, 7):
        history = thumbs[start - HISTORY : start]
        part = [s for _, s in shots(((None, t) for t in thumbs[start:]), history, THRESHOLD)]
        assert [s - part[0] for s in part] == [s - whole[start] for s in whole[start:]]


REAL_CUTS = {
    "bikes_cuts.mp4": [30, 76, 137, 187, 242],
    "megamind_cuts.avi": [1, 98, 154, 200],
    "nasa_multistream_cuts.mp4": [162, 240],  # a dissolve over 145..180, then a cut
    "gopro_path_walk.mp4": [],
    "office_walk_vp9.webm": [],
    "highway_forward.mp4": [],
    "apple_orbit_hevc.mp4": [],
    "lady_running_mpeg4.mp4": [],
    "tokyo_walk_generated.mp4": [],
    "family_orbit_1fps.mp4": [],
    "tree_cinepak.avi": [],
}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL_CUTS)
def test_cuts_of_real_footage(name: str, real_data: Path) -> None:
    path = real_data / "videos" / name
    with open_video(str(path), name) as video:
        thumbs = [video.thumb(frame) for frame in video.decode()]
    assert cuts_in(thumbs) == REAL_CUTS[name]
