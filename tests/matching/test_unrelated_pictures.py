"""No pair of pictures of different places may be kept, whatever matches by chance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mimic import filters, opencv, sources, views
from mimic.config import Config, load_config
from mimic.matching.measure import measure
from mimic.types import Frame, SourceItem, View, WorkUnit

PAIRS = 300
VIDEOS = (
    "apple_orbit_hevc.mp4",
    "bikes_cuts.mp4",
    "family_orbit_1fps.mp4",
    "gopro_path_walk.mp4",
    "highway_forward.mp4",
    "lady_running_mpeg4.mp4",
    "megamind_cuts.avi",
    "nasa_multistream_cuts.mp4",
    "office_walk_vp9.webm",
    "static_dog.mp4",
    "tokyo_walk_generated.mp4",
    "tree_cinepak.avi",
)
PHOTOS = ("fox/0001.jpg", "sacre_coeur/02928139_3448003521.jpg", "sceaux_castle/100_7100.JPG")


def views_by_place(data: Path, config: Config) -> list[list[View]]:
    """A few views of each video and photo group."""
    reading = config.model_copy(update={"source": load_config().source})
    places = [frames_of(data / "videos" / name, reading) for name in VIDEOS]
    for name in PHOTOS:
        rgb = opencv.decode_image((data / "photos" / name).read_bytes())
        places.append([Frame(name, 0, name, None, 0, rgb)])
    return [
        [views.with_features(views.stored_view(frame, config), config) for frame in frames]
        for frames in places
    ]


def frames_of(video: Path, config: Config) -> list[Frame]:
    """Every third second of a video, all as of one shot: no cut may help."""
    (item,) = sources.discover(str(video), config)
    assert isinstance(item, SourceItem)
    (unit,) = sources.split(item, config)
    assert isinstance(unit, WorkUnit)
    with sources.open_unit(unit, config, 0) as frames:
        chosen = [frame for frame in frames if frame.slot % 9 == 0]
    return [Frame(f.frame_id, f.slot, f.label, None, 0, f.rgb) for f in chosen]


@pytest.mark.data
@pytest.mark.parametrize("preset", ["default", "mimic"])
def test_pictures_of_different_places_make_no_pair(real_data: Path, preset: str) -> None:
    config = load_config(preset)  # type: ignore[arg-type]  # a preset's name
    places = views_by_place(real_data, config)
    draw = np.random.default_rng(0)
    reasons: Counter[str] = Counter()
    for _ in range(PAIRS):
        first, second = draw.choice(len(places), 2, replace=False)
        pair = [places[place][draw.integers(len(places[place]))] for place in (first, second)]
        measures = measure(*pair, None, config)
        reasons[filters.judge(*pair, measures, config).reason] += 1
    assert reasons["kept"] == 0, reasons
    assert reasons["few_matches"] + reasons["few_coarse_matches"] > PAIRS / 2, reasons
