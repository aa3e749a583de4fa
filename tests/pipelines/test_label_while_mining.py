"""Labels made while mining are those that are made afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

from mimic.shards.reader import Shards
from pipelines.cli import run


def test_mining_and_labelling_give_the_same_maps(room_file: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    shutil.copy(room_file, tmp_path / "scenes")
    line = ["mine", "--source", f"{tmp_path}/scenes", "--depth", "--walk", "croco", "--quiet"]
    line += ["--executor", "serial", "--set", "source.scene.max_samples=6"]
    line += ["--set", "source.scene.size=[160,160]", "--set", "overlap.measure=covis"]
    assert run([*line, "--out", f"{tmp_path}/plain"]) == 0
    assert run([*line, "--out", f"{tmp_path}/mined", "--set", "labels.covis=true"]) == 0
    label = ["label", f"{tmp_path}/plain", "--out", f"{tmp_path}/labelled", "--quiet"]
    assert run(label) == 0
    mined, labelled = (
        {
            s.key: (s.covis(1, 2).tobytes(), s.covis(2, 1).tobytes(), s.meta["edges"])
            for s in Shards(f"{tmp_path}/{name}").samples()
        }
        for name in ("mined", "labelled")
    )
    assert len(mined) >= 3
    assert mined == labelled
