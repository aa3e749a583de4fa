"""Law 3: how it ran cannot be seen in what it made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_work import Mine, files_of, make_photos

from mimic.config import Config, load_config
from pipelines.limits import CRASH_VARIABLE
from pipelines.mine import mine

DRIVER = Path(__file__).with_name("driver.py")
WORKER_POINTS = ["before_part", "after_part", "after_marker"]
DRIVER_POINTS = ["before_shard", "after_shard", "before_manifest", "after_manifest"]


def settings(**run: Any) -> dict[str, Any]:
    return {"run": run, "pack": {"samples_per_shard": 2, "val_share": 0.3}}


def config_of(**run: Any) -> Config:
    return load_config(overrides=settings(**run))


def start(source: Path, out: Path, crash_at: str = "", **run: Any) -> subprocess.Popen[str]:
    order = {"source": str(source), "out": str(out), "config": settings(**run)}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), json.dumps(order)],
        env={**os.environ, CRASH_VARIABLE: crash_at},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("law3") / "photos", 6)


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All files of a serial run that nothing disturbed."""
    out = tmp_path_factory.mktemp("law3") / "out"
    result = mine(str(source), str(out), config_of(executor="serial"), mine_unit=Mine())
    assert result.exit_code == 0
    assert result.counts["samples"] == 6
    files = files_of(out)
    assert sum(name.startswith("train-") for name in files) >= 4
    return files


@pytest.mark.parametrize("lease", [1, 4])
def test_ray_on_two_cpus(
    two_cpus: None, source: Path, undisturbed: dict[str, str], tmp_path: Path, lease: int
) -> None:
    result = mine(str(source), str(tmp_path), config_of(lease=lease), mine_unit=Mine())
    assert result.exit_code == 0
    assert files_of(tmp_path) == undisturbed


def test_ray_on_one_cpu_in_its_own_process(
    importable_here: None, source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    driver = start(source, tmp_path / "out", executor="ray", cpus=1)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert files_of(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("point", WORKER_POINTS)
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_worker_killed_at_each_commit_point(
    two_cpus: None,
    source: Path,
    undisturbed: dict[str, str],
    tmp_path: Path,
    point: str,
    attempts: int,
) -> None:
    """With one attempt only, the unit goes to quarantine unless its marker was there."""
    from pipelines.mine import retry

    out, flag = tmp_path / "out", tmp_path / "crashed"
    work = Mine(crash_at=f"{point}@{flag}", crash_item="group-03")
    config = config_of(attempts=attempts, lease=2)
    result = mine(str(source), str(out), config, mine_unit=work)
    assert flag.exists()
    if attempts == 1 and point != "after_marker":
        assert result.exit_code == 3
        assert [f.reason for f in result.failed] == ["worker_died"]
        assert (out / ".mimic/quarantine").is_dir()
        again = retry(str(out), mine_unit=Mine(), run=config.run)
        assert again.exit_code == 0
        assert again.counts["samples"] == 6
    else:
        assert result.exit_code == 0
        assert files_of(out) == undisturbed


@pytest.mark.parametrize("point", ["before_shard", "after_shard"])
def test_a_worker_killed_as_it_writes_a_shard(
    importable_here: None, source: Path, undisturbed: dict[str, str], tmp_path: Path, point: str
) -> None:
    flag = tmp_path / "crashed"
    driver = start(source, tmp_path / "out", f"{point}@{flag}", executor="ray", cpus=2)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert flag.exists()
    assert files_of(tmp_path / "out") == undisturbed


def test_a_ray_driver_killed_as_it_packs_and_rerun(
    importable_here: None, source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out, flag = tmp_path / "out", tmp_path / "crashed"
    driver = start(source, out, f"before_manifest@{flag}", executor="ray", cpus=2)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == -signal.SIGKILL, said
    assert not (out / "manifest.json").exists()
    assert len(list(out.glob("*.tar"))) == 3
    (out / "train-000001.tar").unlink()  # as if it had been killed before this one
    result = mine(str(source), str(out), config_of(executor="serial"), mine_unit=Mine())
    assert result.exit_code == 0
    assert files_of(out) == undisturbed


@pytest.mark.parametrize("point", [*WORKER_POINTS, *DRIVER_POINTS])
def test_a_driver_killed_at_each_commit_point_and_rerun(
    importable_here: None, source: Path, undisturbed: dict[str, str], tmp_path: Path, point: str
) -> None:
    out, flag = tmp_path / "out", tmp_path / "crashed"
    driver = start(source, out, f"{point}@{flag}", executor="serial")
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == -signal.SIGKILL, said
    assert flag.exists()
    assert (out / "manifest.json").exists() == (point == "after_manifest")
    result = mine(str(source), str(out), config_of(executor="serial"), mine_unit=Mine())
    assert result.exit_code == 0
    assert files_of(out) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_ray_driver_stopped_in_the_middle_and_rerun(
    importable_here: None,
    source: Path,
    undisturbed: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    out = tmp_path / "out"
    order = {
        "source": str(source),
        "out": str(out),
        "config": settings(executor="ray", cpus=1, lease=2),
        "mine": {"deeds": {"group-04": "sleep"}},
    }
    driver = subprocess.Popen(
        [sys.executable, str(DRIVER), json.dumps(order)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    done = out / ".mimic" / "done"
    while driver.poll() is None and len(list(done.glob("*.json"))) < 4:
        time.sleep(0.1)
    # A terminal's Ctrl-C reaches the whole process group, the others only the driver.
    kill = os.killpg if number == signal.SIGINT else os.kill
    kill(driver.pid, number)
    said, _ = driver.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert driver.returncode == -number, said
    else:
        assert driver.returncode == 130, said
        assert "run the same command" in said
        assert "Traceback" not in said
    assert not (out / "manifest.json").exists()
    result = mine(str(source), str(out), config_of(executor="serial"), mine_unit=Mine())
    assert result.exit_code == 0
    assert files_of(out) == undisturbed


def test_into_another_folder_from_another_folder(
    source: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """All but the plan, which says where the bytes are."""
    moved = make_photos(tmp_path / "elsewhere", 6)
    out = tmp_path / "other" / "out"
    mine(str(moved), str(out), config_of(executor="serial"), mine_unit=Mine())
    ours = files_of(out)
    assert ours.keys() == undisturbed.keys()
    assert {n for n in ours if ours[n] != undisturbed[n]} == {".mimic/plan.parquet"}


def test_in_slices(source: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    from pipelines.mine import Slice

    config = config_of(executor="serial")
    mined = set()
    for index in (2, 0, 1):
        result = mine(str(source), str(tmp_path), config, slice=Slice(index, 3), mine_unit=Mine())
        assert result.exit_code == 0
        assert result.manifest is None
        mined |= {path.name for path in tmp_path.rglob("done/*.json")}
    assert len(mined) == 6
    assert not (tmp_path / "manifest.json").exists()
    mine(str(source), str(tmp_path), config, mine_unit=Mine(deeds={"group-00": "raise"}))
    assert files_of(tmp_path) == undisturbed
