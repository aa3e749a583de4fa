"""The real miner, killed by SIGKILL at every point where a file is committed, and run again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_work import files_of

import pipelines.mine
from mimic.config import Config, load_config
from mimic.demo import frames_along, orbit
from mimic.pyav import write_video
from mimic.storage._local import LocalFolder
from mimic.types import Part, WorkUnit
from mimic.unit import run_unit
from pipelines.cli import run
from pipelines.limits import CRASH_VARIABLE
from pipelines.mine import mine

HERE = Path(__file__).parent
SETTINGS = (
    "source.video.unit_s=2",
    "source.video.probe_above_mb=0",
    "pack.samples_per_shard=6",
    "pack.val_share=0",
)
IN_A_UNIT = ["before_part", "after_part", "after_marker"]
IN_A_SHARD = ["before_shard", "after_shard"]
IN_THE_DRIVER = ["before_manifest", "after_manifest"]
COMMITS = [
    (".mimic/probe", 1),
    (".mimic/config.json", 1),
    (".mimic/plan.parquet", 1),
    (".mimic/parts/", 1),
    (".mimic/done/", 1),
    (".mimic/parts/", 2),
    (".mimic/done/", 2),
    ("graph/edges-000000.parquet", 1),
    ("graph/frames-000000.parquet", 1),
    ("graph/units-000000.parquet", 1),
    ("graph/curves-000000.parquet", 1),
    ("train-000000.tar", 1),
    ("train-000000.parquet", 1),
    ("train-000001.tar", 1),
    ("train-000001.parquet", 1),
    ("manifest.json", 1),
]


def words(source: Path, out: Path, executor: str, *more: str) -> list[str]:
    """A command line of ``mimic mine``."""
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    line = ["mine", "--source", str(source), "--out", str(out), "--executor", executor]
    return [*line, *sets, *more, "--quiet"]


def command(line: list[str]) -> list[str]:
    """The arguments of a Python that runs it."""
    return ["-c", "import sys; from pipelines.cli import run; sys.exit(run(sys.argv[1:]))", *line]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, room_file: Path) -> Path:
    """One video of four seconds: two units."""
    folder = tmp_path_factory.mktemp("killed") / "videos"
    folder.mkdir()
    frames = frames_along(room_file, orbit(80)[:32], size=(192, 144))
    write_video(folder / "round.mp4", frames, fps=8)
    return folder


@dataclass(frozen=True)
class Undisturbed:
    """What a serial run leaves that nothing disturbed, and the names it committed, in order."""

    files: dict[str, str]
    commits: tuple[str, ...]


@pytest.fixture(scope="module")
def undisturbed(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    out = tmp_path_factory.mktemp("killed") / "out"
    commits: list[str] = []
    commit = LocalFolder.commit

    def noted(self: LocalFolder, staged: Path, name: str) -> None:
        commits.append(name)
        commit(self, staged, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalFolder, "commit", noted)
        assert run(words(video, out, "serial")) == 0
    return Undisturbed(files_of(out), tuple(commits))


def killed(command: list[str], crash_at: str = "") -> None:
    """Run a process of ours that SIGKILL is to end."""
    env = {**os.environ, CRASH_VARIABLE: crash_at}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def run_again(video: Path, out: Path, undisturbed: Undisturbed) -> None:
    """The same command finishes it; nothing shows that it was ever killed."""
    assert run(words(video, out, "serial")) == 0
    assert files_of(out) == undisturbed.files


# The tables are complete ---------------------------------------------------------------------


def test_every_crash_point_of_the_source_is_in_the_tables() -> None:
    folder = Path(pipelines.mine.__file__).parent
    texts = [path.read_text() for path in folder.rglob("*.py")]
    points = {point for text in texts for point in re.findall(r'crash_point\("(\w+)"\)', text)}
    assert points == {*IN_A_UNIT, *IN_A_SHARD, *IN_THE_DRIVER}


def test_every_commit_of_a_run_is_in_the_table(undisturbed: Undisturbed) -> None:
    def matching(name: str) -> list[str]:
        return [committed for committed in undisturbed.commits if committed.startswith(name)]

    assert len(undisturbed.commits) == len(COMMITS)
    assert {matching(name)[count - 1] for name, count in COMMITS} == set(undisturbed.commits)
    assert undisturbed.commits[-1] == "manifest.json"


# The driver is killed ------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), COMMITS)
def test_a_driver_killed_before_each_commit(
    video: Path, undisturbed: Undisturbed, tmp_path: Path, name: str, count: int
) -> None:
    killed([str(HERE / "killed.py"), name, str(count), *words(video, tmp_path / "out", "serial")])
    assert not (tmp_path / "out" / "manifest.json").exists()
    run_again(video, tmp_path / "out", undisturbed)


@pytest.mark.parametrize("point", [*IN_A_UNIT, *IN_A_SHARD, *IN_THE_DRIVER])
def test_a_driver_killed_at_each_crash_point(
    video: Path, undisturbed: Undisturbed, tmp_path: Path, point: str
) -> None:
    out = tmp_path / "out"
    killed(command(words(video, out, "serial")), f"{point}@{tmp_path / 'crashed'}")
    assert (out / "manifest.json").exists() == (point == "after_manifest")
    run_again(video, out, undisturbed)


@pytest.mark.parametrize(
    "point", ["before_manifest", pytest.param("after_manifest", marks=pytest.mark.slow)]
)
def test_a_ray_driver_killed_at_each_crash_point(
    video: Path, undisturbed: Undisturbed, tmp_path: Path, point: str
) -> None:
    out = tmp_path / "out"
    killed(command(words(video, out, "ray", "--cpus", "2")), f"{point}@{tmp_path / 'crashed'}")
    assert (out / "manifest.json").exists() == (point == "after_manifest")
    run_again(video, out, undisturbed)


# A worker is killed --------------------------------------------------------------------------


@dataclass(frozen=True)
class Killed:
    """The real work; the worker that mines the second unit is killed at a point of its commit."""

    crash_at: str

    def __call__(self, unit: WorkUnit, config: Config) -> Part:
        if unit.span.first > 0:
            os.environ[CRASH_VARIABLE] = self.crash_at
        return run_unit(unit, config)


@pytest.mark.parametrize("point", IN_A_UNIT)
def test_a_worker_killed_as_it_commits_a_unit(
    two_cpus: None, video: Path, undisturbed: Undisturbed, tmp_path: Path, point: str
) -> None:
    out, flag = tmp_path / "out", tmp_path / "crashed"
    config = load_config(assignments=SETTINGS)
    result = mine(str(video), str(out), config, mine_unit=Killed(f"{point}@{flag}"))
    assert flag.exists()
    assert result.exit_code == 0
    assert files_of(out) == undisturbed.files


@pytest.mark.parametrize(
    "point", ["after_shard", pytest.param("before_shard", marks=pytest.mark.slow)]
)
def test_a_worker_killed_as_it_writes_a_shard(
    video: Path, undisturbed: Undisturbed, tmp_path: Path, point: str
) -> None:
    out, flag = tmp_path / "out", tmp_path / "crashed"
    env = {**os.environ, CRASH_VARIABLE: f"{point}@{flag}"}
    line = [sys.executable, *command(words(video, out, "ray", "--cpus", "2"))]
    done = subprocess.run(line, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert flag.exists()
    assert files_of(out) == undisturbed.files


@pytest.mark.slow
@pytest.mark.parametrize("point", IN_A_UNIT)
def test_a_worker_and_its_driver_killed_at_once(
    importable_here: None, video: Path, undisturbed: Undisturbed, tmp_path: Path, point: str
) -> None:
    """As when the machine loses its power."""
    out = tmp_path / "out"
    config = load_config(assignments=(*SETTINGS, "run.cpus=1")).model_dump(mode="json")
    order = {"source": str(video), "out": str(out), "config": config, "power_lost_at": point}
    killed([str(HERE / "driver.py"), json.dumps(order)])
    assert len(list(out.rglob("done/*.json"))) == (2 if point == "after_marker" else 1)
    assert not (out / "manifest.json").exists()
    run_again(video, out, undisturbed)
