"""Real footage of cameras that stand still: what moves before them is no second view."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimic import sources
from mimic.config import load_config
from mimic.unit import run_unit


@pytest.mark.data
@pytest.mark.parametrize("name", ["carphone_176x144.mp4", "megamind_cuts.avi", "static_dog.mp4"])
def test_a_still_camera_gives_no_pair(real_data: Path, name: str) -> None:
    config = load_config()
    (item,) = sources.discover(str(real_data / "videos" / name), config)
    verdicts = [
        row["verdict"]
        for unit in sources.split(item, config)
        for row in run_unit(unit, config).edges
    ]
    assert len(verdicts) > 20
    assert "kept" not in verdicts
    assert {"unmoved", "moving_foreground"} & set(verdicts)
