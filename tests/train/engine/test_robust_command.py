"""What goes wrong around ``python -m train.pretrain``: a sentence each, and no checkpoint lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from commands import Commands, last_step, process_of_rank, torchrun
from runs import command, config_of, make_shards, metrics, run, same_state, state_after

from mimic.shards.reader import Shards
from train.data import open_sets
from train.data.index import read_index
from train.engine import checkpoint

LEARNT = ("model", "ema", "optimiser", "step")
LONG = ("--set", "schedule.length=9999", "--set", "checkpoint.every=5", "--set",
        "report.validate_batches=0", "--set", "checkpoint.keep=3")  # fmt: skip
"""A run that does not end by itself while a test waits for it."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    started = Commands(tmp_path_factory.mktemp("said"))
    yield started
    started.close()


@pytest.fixture
def commands(server: Commands) -> Iterator[Commands]:
    yield server
    server.kill()


@pytest.fixture(scope="module")
def undisturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run(config_of(shards), out)
    return out


@pytest.fixture
def own(shards: Path, tmp_path: Path) -> Path:
    """Shards to be damaged."""
    return shutil.copytree(shards, tmp_path / "shards")


def whole_steps(out: Path) -> list[int]:
    """The steps of a run's checkpoints, all of which load; nothing half-written lies there."""
    folder = out / "checkpoints"
    steps = checkpoint.steps_in(folder)
    for step in steps:
        assert checkpoint.load(checkpoint.path_of(folder, step))["step"] == step
    if folder.exists():
        assert sorted(p.name for p in folder.iterdir()) == [
            checkpoint.path_of(folder, step).name for step in steps
        ]
    return steps


def ends_alike(out: Path, other: Path, steps: int = 6) -> bool:
    one, two = state_after(out, steps), state_after(other, steps)
    return all(same_state(one[part], two[part]) for part in LEARNT)


def seen(shards: Path, step: int, batch: int = 4) -> list[int]:
    """The samples of a step."""
    data = open_sets(config_of(shards).data, "train")
    numbers = data.order(config_of(shards).seed, batch).indices(step).tolist()
    data.close()
    return numbers


def first_seen_at(shards: Path, step: int, places: slice = slice(None)) -> int:
    """A sample that no step before ``step`` sees, in these places of its batch."""
    before = {number for earlier in range(step) for number in seen(shards, earlier)}
    return next(number for number in seen(shards, step)[places] if number not in before)


def garble(shards: Path, number: int) -> str:
    """Overwrite a picture of a sample by as many bytes of nothing; the sample's key."""
    place = read_index(Shards(shards), "train", []).place(number)
    offset, size = place.members["view1.jpg"]
    with (shards / place.tar.name).open("r+b") as file:
        file.seek(offset)
        file.write(b"\x55" * size)
    return place.key


def some_tar(shards: Path) -> Path:
    return shards / read_index(Shards(shards), "train", []).tars[0].name


# Samples that cannot be read


def test_a_broken_picture_is_left_out_counted_and_named(own, tmp_path, commands, undisturbed):
    key = garble(own, seen(own, 0)[0])
    for name, threads in (("one", 1), ("two", 3)):
        line = command(own, tmp_path / name, "--set", f"hardware.decode_threads={threads}")
        ended = commands.run(line)
        assert ended.code == 0, ended.err
        assert f"left out, for they cannot be read: 1 sample: {key}" in ended.err
    assert ends_alike(tmp_path / "one", tmp_path / "two")
    assert not ends_alike(tmp_path / "one", undisturbed)


def test_too_many_broken_pictures_stop_the_run_which_can_go_on(own, tmp_path, commands):
    keys = sorted([garble(own, seen(own, 0)[0]), garble(own, first_seen_at(own, 4))])
    line = command(own, tmp_path / "run", "--set", "hardware.prefetch=1")
    ended = commands.run(line)
    assert ended.code == 2
    assert f"2 samples cannot be read and 1 may be: {', '.join(keys)}" in ended.sentence
    assert "run `mimic verify` on the shards, or raise data.max_bad_share" in ended.sentence
    assert whole_steps(tmp_path / "run") == [2, 4]
    more = ("--set", "data.max_bad_share=0.2")
    ended = commands.run([*line, *more])
    assert (ended.code, "goes on after step 4" in ended.err) == (0, True), ended.err
    assert commands.run(command(own, tmp_path / "at once", *more)).code == 0
    assert ends_alike(tmp_path / "run", tmp_path / "at once")


def test_what_one_process_cannot_read_all_count(own, tmp_path, commands):
    keys = sorted(garble(own, seen(own, 0)[place]) for place in (0, 2))
    line = command(own, tmp_path / "run", "--set", "report.validate_batches=0")
    ended = [rank.wait() for rank in commands.ranks(line, 2)]
    assert [end.code for end in ended] == [2, 2], [end.err for end in ended]
    for end in ended:
        assert f"2 samples cannot be read and 1 may be: {', '.join(keys)} (met by" in end.sentence
    ranks = commands.ranks([*line, "--set", "data.max_bad_share=0.2"], 2)
    ended = [rank.wait() for rank in ranks]
    assert [end.code for end in ended] == [0, 0], [end.err for end in ended]
    assert f"cannot be read: 2 samples: {', '.join(keys)}" in ended[0].err


# Shards that go or change


def test_a_shard_that_is_gone_before_the_start(own, tmp_path, commands, undisturbed):
    tar = some_tar(own)
    aside = tar.rename(tmp_path / "aside")
    line = command(own, tmp_path / "run")
    ended = commands.run(line)
    assert ended.code == 2
    assert f"shard {tar}: No such file or directory; restore it" in ended.sentence
    aside.rename(tar)
    assert commands.run(line).code == 0
    assert ends_alike(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("name", ["manifest.json", "train-000000.parquet"])
def test_an_index_that_is_gone(own, tmp_path, commands, name):
    (own / name).unlink()
    ended = commands.run(command(own, tmp_path / "run"))
    assert ended.code != 0
    assert str(own) in ended.sentence
    assert not (tmp_path / "run").exists()


def cut(tar: Path) -> str:
    size = tar.stat().st_size
    os.truncate(tar, size // 2)
    return f"has {size // 2} bytes, the manifest says {size}"


def overwritten(tar: Path) -> str:
    with tar.open("r+b") as file:  # another picture, of which nothing but its hash can tell
        file.seek(4000)
        byte = file.read(1)
        file.seek(4000)
        file.write(bytes([byte[0] ^ 1]))
    return "has SHA-256"


@pytest.mark.parametrize("change", [cut, overwritten])
def test_a_shard_that_is_written_to_while_the_job_runs(
    own, tmp_path, commands, change: Callable[[Path], str]
):
    out, tar = tmp_path / "run", some_tar(own)
    line = command(own, out, *LONG)
    running = commands.start(line)
    running.wait_for_step(out, 12)
    data = tar.read_bytes()
    says = change(tar)
    ended = running.wait()
    assert ended.code == 2, ended.err
    assert f"shard {tar}: {says}" in ended.sentence
    assert "restore it" in ended.sentence
    last = whole_steps(out)[-1]
    tar.write_bytes(data)
    again = commands.run([*line, "--limit-steps", str(last + 2)])
    assert again.code == 0, again.err
    assert whole_steps(out)[-1] == last + 2


def replaced(tar: Path) -> None:
    other = tar.with_suffix(".new")
    other.write_bytes(bytes(tar.stat().st_size))
    other.rename(tar)


@pytest.mark.parametrize("change", [replaced, Path.unlink])
def test_a_shard_that_is_replaced_or_removed_while_the_job_runs_is_read_on(
    shards, own, tmp_path, commands, change: Callable[[Path], None]
):
    out = tmp_path / "run"
    running = commands.start(command(own, out, *LONG))
    running.wait_for_step(out, 12)
    change(some_tar(own))
    running.wait_for_step(out, last_step(out) + 20)
    os.kill(running.pid, signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 130, ended.err
    assert "the same line again goes on" in ended.err
    last = whole_steps(out)[-1]
    aside = tmp_path / "undisturbed"
    assert commands.run(command(shards, aside, *LONG, "--limit-steps", str(last))).code == 0
    assert ends_alike(out, aside, last), "it was read where it was open"
    ended = commands.run(command(own, out, *LONG))
    assert ended.code == 2, "nor is what lies there now taken for it"
    assert some_tar(own).name in ended.sentence


# Fewer samples than a step takes


@pytest.mark.parametrize("ranks", [1, 2])
def test_fewer_samples_than_the_ranks_take(shards, tmp_path, commands, ranks):
    for rank in commands.ranks(command(shards, tmp_path / "run", "--batch", "40"), ranks):
        ended = rank.wait()
        assert ended.code == 2, ended.err
        assert "the data has 22 samples but a batch takes 40 of it: make" in ended.sentence
    assert not (tmp_path / "run").exists()


def test_a_batch_that_cannot_be_shared(shards, tmp_path, commands):
    for rank in commands.ranks(command(shards, tmp_path / "run", "--batch", "5"), 2):
        ended = rank.wait()
        assert ended.code == 2, ended.err
        assert "a batch of 5 cannot be split evenly over 2 ranks: set batch" in ended.sentence
    assert not (tmp_path / "run").exists()


# Two jobs in one folder


def test_a_second_job_in_the_folder_of_the_first(shards, tmp_path, commands):
    out = tmp_path / "run"
    line = command(shards, out, *LONG)
    first = commands.start(line)
    first.wait_for_step(out, 2)
    second = commands.run(line)
    assert second.code == 2, second.err
    assert f"--out {out}: another job is at work there (process {first.pid} on " in second.sentence
    step = last_step(out)
    first.wait_for_step(out, step + 2)
    first.kill()
    assert commands.run([*line, "--limit-steps", "1"]).code == 0, "the dead hold nothing"


# A full disk


def test_a_checkpoint_that_cannot_be_written(shards, tmp_path, commands, undisturbed):
    out = tmp_path / "run"
    line = command(shards, out)
    assert commands.run([*line, "--limit-steps", "2"]).code == 0
    ended = commands.run(line, file_limit=300_000)
    assert ended.code == 2, ended.err
    assert f"checkpoint {out}/checkpoints/step-00000004.pt: could not be written" in ended.sentence
    assert "older ones are whole: make room and run the same command again" in ended.sentence
    assert whole_steps(out) == [2]
    assert commands.run(line).code == 0
    assert ends_alike(out, undisturbed)


def test_a_kill_in_the_middle_of_a_checkpoint(shards, tmp_path, commands, undisturbed):
    out = tmp_path / "run"
    line = command(shards, out)
    assert commands.run([*line, "--limit-steps", "2"]).code == 0
    ended = commands.run(line, file_limit=300_000, killed=True)
    assert ended.code == -signal.SIGXFSZ, ended.err
    folder = out / "checkpoints"
    assert [p.stat().st_size for p in folder.glob("step-00000004*")] == [300_000], "half of one"
    assert checkpoint.latest(folder) == checkpoint.path_of(folder, 2)
    assert commands.run(line).code == 0
    assert whole_steps(out) == [2, 4, 6]
    assert ends_alike(out, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB: there is room for one checkpoint."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=700k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 512)


def grow(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=16m", str(place)], check=True)


def test_a_disk_that_is_full_at_the_second_checkpoint(
    shards, tmp_path, small_disk, commands, undisturbed
):
    out = small_disk / "run"
    line = command(shards, out, "--set", "report.pictures=0")
    ended = commands.run(line)
    assert ended.code == 2, ended.err
    assert "step-00000004.pt: could not be written ([Errno 28] No space" in ended.sentence
    assert whole_steps(out) == [2]
    grow(small_disk)
    assert commands.run(line).code == 0
    assert ends_alike(out, undisturbed)


def test_a_disk_that_is_full_before_a_checkpoint_is_due(shards, small_disk, commands):
    out = small_disk / "run"
    line = command(shards, out, *LONG, "--set", "checkpoint.every=1000")
    assert commands.run([*line, "--limit-steps", "3", "--set", "checkpoint.every=3"]).code == 0
    running = commands.start(line)
    running.wait_for_step(out, 8)
    fill(small_disk)
    ended = running.wait()
    assert ended.code == 2, ended.err
    assert f"{out}/metrics.jsonl: could not be written (No space left on device)" in ended.sentence
    assert "make room and run the same command again" in ended.sentence
    for _ in range(2):
        ended = commands.run(line)
        assert ended.code == 2, "still full"
        assert "could" in ended.sentence or "cannot be written" in ended.sentence
        assert [line["step"] for line in metrics(out)][:3] == [1, 2, 3], "nothing told is lost"
        assert whole_steps(out) == [3]
    (small_disk / "filler").unlink()
    grow(small_disk)
    assert commands.run([*line, "--limit-steps", "6"]).code == 0
    assert [line["step"] for line in metrics(out)] == [1, 2, 3, 4, 5, 6]


def test_pictures_and_config_that_cannot_be_written(shards, small_disk, commands):
    out = small_disk / "run"
    line = command(shards, out)
    assert commands.run([*line, "--limit-steps", "2", "--set", "report.pictures=0"]).code == 0
    config = (out / "config.yaml").read_text()
    (out / "pictures").write_text("a file where a folder should be")
    ended = commands.run(line)
    assert ended.code == 2, ended.err
    assert f"{out}/pictures/step-00000003.png: could not be written" in ended.sentence
    fill(small_disk)
    ended = commands.run(line)
    assert ended.code == 2, ended.err
    assert f"--out {out}: cannot be written (No space left on device)" in ended.sentence
    assert (out / "config.yaml").read_text().splitlines()[0] == config.splitlines()[0]
    assert not list(out.glob("*.partial"))


# Ranks that end


def test_a_killed_rank_ends_the_job_and_the_same_line_goes_on(shards, tmp_path, commands):
    out = tmp_path / "run"
    line = command(shards, out, *LONG)
    with torchrun(line, tmp_path) as launcher:
        launcher.wait_for_step(out, 7)
        os.kill(process_of_rank(launcher, 1), signal.SIGKILL)
        ended = launcher.wait()
    assert ended.code != 0
    assert_left_alone(ended.err, 0)
    first = whole_steps(out)[-1]
    ranks = commands.ranks(line, 2)
    ranks[0].wait_for_step(out, last_step(out) + 7)
    os.kill(ranks[0].pid, signal.SIGKILL)
    ended = ranks[1].wait()  # by itself: nobody is there to end it
    assert ended.code == 4, ended.err
    assert_left_alone(ended.err, 1)
    assert f"goes on after step {first}" in ranks[0].wait().err
    second = whole_steps(out)[-1]
    assert second > first
    ended = commands.run([*line, "--limit-steps", str(second + 2)])
    assert (ended.code, whole_steps(out)[-1]) == (0, second + 2), ended.err


def assert_left_alone(err: str, rank: int) -> None:
    said = [text for text in err.splitlines() if text.startswith("error: ")]
    assert len(said) == 1, err
    assert f"rank {rank} of 2: another process of the run ended" in said[0]
    assert "the same line again goes on from the last checkpoint" in said[0]
    assert ".cc:" not in said[0], "where in torch it was noticed is of no use to anybody"


def test_an_error_of_one_rank_ends_the_others_and_is_shown_last(own, tmp_path):
    out = tmp_path / "run"
    key = garble(own, first_seen_at(own, 3, slice(2, 4)))  # in rank 1's half
    line = command(own, out, *LONG, "--set", "data.max_bad_share=0", "--set",
                   "report.log_every=1000", "--set", "checkpoint.every=1")  # fmt: skip
    with torchrun(line, tmp_path) as running:
        ended = running.wait()
    assert ended.code != 0
    cause = f"1 samples cannot be read and 0 may be: {key}"
    assert ended.err.count(f"error: {cause}") == 1, ended.err
    assert "error: rank 0 of 2: another process of the run ended" in ended.err
    assert "unexpected" not in ended.err
    table = ended.err.split("Root Cause")[1]
    assert cause in table, "torchrun's own last words"
    assert whole_steps(out) == [1, 2, 3]


# A loss that is no number


def test_a_loss_that_is_no_number(shards, tmp_path, commands):
    line = command(shards, tmp_path / "run", "--set", "optimiser.base_lr=1e30", "--set",
                   "schedule.warmup=0")  # fmt: skip
    ended = commands.run([*line, "--set", "numerics.nan_budget=2"])
    assert ended.code == 2, ended.err
    says = "loss or gradient is not finite, step 3 of this run where that is so"
    assert says in ended.sentence
    assert "all 4 samples of the batch, so it is the weights that diverged" in ended.sentence
    assert "lower optimiser.base_lr" in ended.sentence
    assert "the last checkpoint is whole" in ended.sentence
    assert whole_steps(tmp_path / "run") == [2]
    ended = commands.run([*line, "--set", "numerics.nan_budget=20"])
    assert ended.code == 0, "how many may be is no other run"
    assert state_after(tmp_path / "run", 6)["skipped"] > 2
