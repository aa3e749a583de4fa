"""The real miner, whole: object stores, kills, full disks and bad files change no byte."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_work import files_of
from s3_server import BUCKET, S3

import pipelines.mine
from mimic.config import Config, load_config
from mimic.demo import frames_along, orbit
from mimic.pyav import write_video
from mimic.storage import Storage
from pipelines.cli import run

SETTINGS = (
    "source.video.unit_s=2",
    "source.video.probe_above_mb=0",
    "pack.samples_per_shard=8",
    "pack.val_share=0.3",
)
UNITS = 6
FAULTS = ("500", "slowdown", "drop", "delay", "lost", "cut", "502")


def line(source: object, out: object, *more: object, executor: str = "serial") -> list[str]:
    """A command line of ``mimic mine``."""
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["mine", "--source", source, "--out", out, "--executor", executor, *sets, *more]
    return [str(word) for word in words]


def config() -> Config:
    return load_config(assignments=(*SETTINGS, "run.executor=serial"))


def shards_of(files: dict[str, str]) -> dict[str, str]:
    """All but the plan, which says where the bytes were."""
    return {name: digest for name, digest in files.items() if name != ".mimic/plan.parquet"}


def stored(s3: S3, folder: str, to: Path) -> dict[str, str]:
    """SHA-256 of what the bucket holds below a folder, as :func:`files_of` gives it."""
    for key in s3.stored():
        if key.startswith(f"{folder}/"):
            path = to / key.removeprefix(f"{folder}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.client.download_file(BUCKET, key, str(path))
    return files_of(to)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, room_file: Path) -> Path:
    """Three videos of four seconds, two units each."""
    folder = tmp_path_factory.mktemp("end") / "videos"
    folder.mkdir()
    frames = list(frames_along(room_file, orbit(80)[:40], size=(192, 144)))
    for number in range(3):
        write_video(folder / f"{number}.mp4", frames[4 * number :][:32], fps=8)
    return folder


@pytest.fixture(scope="module")
def undisturbed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All files of a serial run that nothing disturbed."""
    out = tmp_path_factory.mktemp("end") / "out"
    assert run([*line(videos, out), "--quiet"]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["samples"] >= 20
    assert len(manifest["shards"]) >= 3
    return files_of(out)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away is given up after as many attempts, but sooner."""
    monkeypatch.setattr("mimic.storage._store.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("mimic.storage._store.LONGEST_WAIT_S", 0.01)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, list[str]]]:
    """Run a command line in this process: its exit code and the lines it says on stderr."""

    def of(words: list[str]) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = run(words)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return code, said.splitlines()

    return of


def errors_in(said: list[str]) -> list[str]:
    return [sentence for sentence in said if sentence.startswith("error: ")]


# An object store -----------------------------------------------------------------------------


def some_faults(count: int) -> deque[str]:
    """Faults of every kind, a sound answer after each."""
    kinds = itertools.chain.from_iterable((kind, "none") for kind in itertools.cycle(FAULTS))
    return deque(itertools.islice(kinds, 2 * count))


def test_to_a_faulty_object_store(
    s3: S3, videos: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    s3.proxy.faults = some_faults(28)
    assert run([*line(videos, f"s3://{BUCKET}/out"), "--quiet"]) == 0
    assert not s3.proxy.faults
    assert stored(s3, "out", tmp_path) == undisturbed


def test_from_and_to_a_faulty_object_store_on_ray(
    s3: S3, videos: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    for path in videos.iterdir():
        s3.client.upload_file(str(path), BUCKET, f"videos/{path.name}")
    s3.proxy.faults = some_faults(28)
    words = line(f"s3://{BUCKET}/videos", f"s3://{BUCKET}/out", "--cpus", 2, executor="ray")
    assert run([*words, "--quiet"]) == 0
    assert not s3.proxy.faults
    assert shards_of(stored(s3, "out", tmp_path)) == shards_of(undisturbed)


@pytest.mark.parametrize(
    "dead_at", ["/.mimic/parts/", "/.mimic/done/", "/train-", "/manifest.json"]
)
def test_a_bucket_that_dies_in_the_middle(
    s3: S3, impatient: None, told, videos: Path, undisturbed: dict[str, str], tmp_path: Path,
    dead_at: str,
) -> None:  # fmt: skip
    out = f"s3://{BUCKET}/out"
    seen: list[str] = []

    def is_dead(method: str, path: str) -> bool:
        if method == "PUT" and dead_at in path:
            seen.append(path)
        return len(seen) >= (1 if "manifest" in dead_at else 2)

    s3.proxy.only = is_dead
    s3.proxy.faults = deque(["drop", "500"] * 10_000)
    code, said = told(line(videos, out))
    assert code == 4
    (sentence,) = errors_in(said)
    assert f"s3://{BUCKET}/out" in sentence
    assert "out of reach after 8 attempts" in sentence
    assert not any(each.startswith("failed (") for each in said)
    assert not any(key.endswith("manifest.json") for key in s3.stored())
    s3.proxy.faults.clear()
    code, said = told(line(videos, out))
    assert code == 0, said
    assert stored(s3, "out", tmp_path) == undisturbed


@pytest.mark.parametrize("place", ["source", "out"])
def test_an_unreachable_bucket(
    s3: S3, impatient: None, told, videos: Path, tmp_path: Path, place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    there = f"s3://{BUCKET}/x"
    words = line(there, tmp_path / "out") if place == "source" else line(videos, there)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, said = told(words)
    assert code == 4
    (sentence,) = errors_in(said)
    assert there in sentence
    assert "out of reach" in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["source", "out"])
def test_a_bucket_that_does_not_exist(
    s3: S3, told, videos: Path, tmp_path: Path, place: str
) -> None:
    there = "s3://no-such-bucket/x"
    code, said = told(line(there, tmp_path / "out") if place == "source" else line(videos, there))
    assert code == 4
    (sentence,) = errors_in(said)
    assert "s3://no-such-bucket" in sentence
    assert "bucket does not exist" in sentence


# The same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2])
def test_on_ray(videos: Path, undisturbed: dict[str, str], tmp_path: Path, cpus: int) -> None:
    words = line(videos, tmp_path / "elsewhere" / "out", "--cpus", cpus, executor="ray")
    assert run([*words, "--quiet"]) == 0
    assert files_of(tmp_path / "elsewhere" / "out") == undisturbed


def test_sources_in_another_folder(
    videos: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    moved = shutil.copytree(videos, tmp_path / "moved" / "films")
    assert run([*line(moved, tmp_path / "out"), "--quiet"]) == 0
    assert shards_of(files_of(tmp_path / "out")) == shards_of(undisturbed)


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_a_driver_killed_in_the_middle(
    told, videos: Path, undisturbed: dict[str, str], tmp_path: Path, executor: str
) -> None:
    out = tmp_path / "out"
    words = line(videos, out, "--cpus", 1, executor=executor)
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words]
    driver = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    while driver.poll() is None and len(list(out.rglob("done/*.json"))) < 2:
        time.sleep(0.01)
    driver.kill()
    said, _ = driver.communicate()
    assert driver.returncode == -signal.SIGKILL, said
    assert not (out / "manifest.json").exists()
    code, lines = told(line(videos, out))
    assert code == 0
    assert any("done before" in each for each in lines)
    assert files_of(out) == undisturbed


@pytest.mark.slow
def test_a_ray_node_lost_in_the_middle(
    videos: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """Two Ray nodes on this machine, one killed while units are in work on both."""
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    out = tmp_path / "out"
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)

    def kill_when_busy() -> None:
        while len(list(out.rglob("done/*.json"))) < 2:
            time.sleep(0.01)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill_when_busy, daemon=True)
    killer.start()
    settings = ("--set", "run.lease=1", "--set", "run.attempts=1", "--address", cluster.address)
    try:
        code = run([*line(videos, out, *settings, executor="ray"), "--quiet"])
        killer.join(10)
    finally:
        cluster.shutdown()
    assert code == 0
    assert files_of(out) == undisturbed


# A full disk ---------------------------------------------------------------------------------


def mounted(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *options], capture_output=True, text=True)


@pytest.mark.parametrize("size", ["512k", "1300k"])
def test_a_full_disk(
    told, videos: Path, undisturbed: dict[str, str], small_disk: Path, size: str
) -> None:
    """The smaller one cannot hold the parts, the other not the shards beside the parts."""
    out = small_disk / "out"
    mounted("-o", f"remount,size={size}", str(small_disk))
    code, said = told(line(videos, out))
    assert code == 4
    (sentence,) = errors_in(said)
    assert "no space left" in sentence
    assert str(out) in sentence
    assert any("packing" in each for each in said) == (size == "1300k")
    assert not (out / "manifest.json").exists()
    assert mounted("-o", "remount,size=16m", str(small_disk)).returncode == 0
    code, said = told(line(videos, out))
    assert code == 0, said
    assert files_of(out) == undisturbed


# Bad files -----------------------------------------------------------------------------------


def audio_only(path: Path) -> None:
    """A film's name and no picture in it."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 16_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))


def with_bad_files(videos: Path, folder: Path) -> Path:
    """One sound video, and one of each bad kind."""
    folder.mkdir()
    data = (videos / "0.mp4").read_bytes()
    (folder / "good.mp4").write_bytes(data)
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    audio_only(folder / "song.mp4")
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    shutil.copy(videos / "1.mp4", folder / "vanishes.mp4")
    shutil.copy(videos / "2.mp4", folder / "changes.mp4")
    return folder


BAD = {"noise": "unreadable", "song": "no_video_stream", "cut": "unreadable"}
LATER = {"vanishes": "vanished", "changes": "changed"}


def meddling(folder: Path, make_plan: Callable[..., Any]) -> Callable[..., Any]:
    """``make_plan``, and then the files go and change, once."""

    def made(source: Any, config: Config) -> Any:
        plan = make_plan(source, config)
        if (folder / "vanishes.mp4").exists():
            (folder / "vanishes.mp4").unlink()
            (folder / "changes.mp4").write_bytes((folder / "good.mp4").read_bytes()[:-1])
        return plan

    return made


@pytest.mark.parametrize(
    ("executor", "probe_above_mb"), [("serial", 0), ("serial", 16), ("ray", 16)]
)
def test_bad_files_cost_one_line_each(
    told, videos: Path, tmp_path: Path, executor: str, probe_above_mb: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whether planning opens a file (then it is skipped) or only mining does (quarantine)."""
    folder, out = with_bad_files(videos, tmp_path / "videos"), tmp_path / "out"
    monkeypatch.setattr(pipelines.mine, "make_plan", meddling(folder, pipelines.mine.make_plan))
    probe = ("--set", f"source.video.probe_above_mb={probe_above_mb}", "--cpus", 1)
    code, said = told(line(folder, out, *probe, executor=executor))
    assert code == 3
    word = "skipped" if probe_above_mb == 0 else "failed"
    for name, reason in BAD.items():
        (sentence,) = [each for each in said if f"{name}.mp4" in each]
        assert sentence.startswith(f"{word} ({reason}): {name}.mp4: ")
    for name, reason in LATER.items():
        (sentence,) = [each for each in said if f"{name}.mp4" in each]
        assert sentence.startswith(f"failed ({reason}): {name}.mp4: ")
    assert {sample.meta["source"]["item"] for sample in _samples(out)} == {"good.mp4"}


def _samples(out: Path) -> list[Any]:
    from mimic.shards.reader import Shards

    return list(Shards(str(out)).samples())


def test_retry_after_mending_finishes_it(told, videos: Path, tmp_path: Path) -> None:
    folder, out = with_bad_files(videos, tmp_path / "videos"), tmp_path / "out"
    probe = ("--set", "source.video.probe_above_mb=16")
    assert told(line(folder, out, *probe))[0] == 3
    for name, number in (("noise", 1), ("song", 2)):
        (folder / f"{name}.mp4").write_bytes((videos / f"{number}.mp4").read_bytes() + bytes(8))
    code, said = told(["retry", str(out), "--executor", "serial"])
    assert code == 3
    assert [each for each in said if "cut.mp4" in each]
    (folder / "cut.mp4").write_bytes((videos / "0.mp4").read_bytes() + bytes(8))
    code, said = told(["retry", str(out), "--executor", "serial"])
    assert code == 0, said
    assert not list(out.rglob("quarantine/*"))
    whole = tmp_path / "whole"
    assert told(line(folder, whole, *probe))[0] == 0
    assert {s.key for s in _samples(out)} == {s.key for s in _samples(whole)}
    assert Storage(out).read(".mimic/plan.parquet") == Storage(whole).read(".mimic/plan.parquet")
