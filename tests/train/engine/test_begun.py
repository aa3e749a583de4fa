"""What a run was begun with beside its config is in its checkpoints, and compared."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from runs import config_of, make_shards, run, same_state, state_after

from train.engine.say import Progress
from train.engine.session import Asked, run_session
from train.errors import TrainError


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def inits(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints to begin with."""
    top = tmp_path_factory.mktemp("inits")
    assert run(config_of(shards, seed=8), top / "run", limit_steps=4)
    folder = top / "run" / "checkpoints"
    return [folder / f"step-0000000{step}.pt" for step in (2, 4)]


@dataclass
class Heard(Progress):
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def notes_of(config, out: Path, **asked) -> list[str]:
    heard = Heard(0, quiet=True)
    assert run_session(config, Asked(out, **asked), lambda _world: heard)
    return heard.notes


def test_other_first_weights_in_the_same_folder_are_refused(shards, inits, tmp_path):
    config, out = config_of(shards), tmp_path / "run"
    first, other = inits
    assert run(config, out, init=first, limit_steps=2)
    says = (
        r"step-00000002\.pt: this run was started with another config: --init "
        r"\(step-00000002\.pt [0-9a-f]{12} -> step-00000004\.pt [0-9a-f]{12}\); use the old one, "
        r"another --out, or --force-resume"
    )
    with pytest.raises(TrainError, match=says):
        run(config, out, init=other, limit_steps=3)
    with pytest.raises(TrainError, match=r"--init .*; use the old one"):
        run(config, out, init=other, limit_steps=3)
    assert run(config, out, init=other, limit_steps=3, force_resume=True)
    assert state_after(out, 3)["begun"]["init"] == first.name, "what it began with stays"


def test_first_weights_that_there_were_none_of_are_refused(shards, inits, tmp_path):
    assert run(config_of(shards), tmp_path / "run", limit_steps=2)
    with pytest.raises(TrainError, match=r"--init \(None -> step-00000002\.pt"):
        run(config_of(shards), tmp_path / "run", init=inits[0])


def test_a_run_that_goes_on_needs_its_first_weights_no_more(shards, inits, tmp_path):
    config, own = config_of(shards), Path(shutil.copy(inits[0], tmp_path / "first.pt"))
    assert run(config, tmp_path / "whole", init=own)
    cut = tmp_path / "cut"
    notes = notes_of(config, cut, init=own, limit_steps=2)
    assert any("of the network's" in note for note in notes), "they were loaded"
    notes = notes_of(config, cut, init=own, limit_steps=3)
    assert any("not loaded, for the run goes on" in note for note in notes)
    moved = own.rename(tmp_path / "elsewhere.pt")
    assert run(config, cut, init=moved, limit_steps=4), "the same bytes under another name"
    notes = notes_of(config, cut, init=own, limit_steps=5)
    assert any("first.pt (it is gone): not loaded" in note for note in notes)
    assert run(config, cut), "and without --init"
    one, two = state_after(tmp_path / "whole", 6), state_after(cut, 6)
    assert same_state(one["model"], two["model"])
    assert two["begun"] == one["begun"]
    assert not same_state(one["model"], state_after(undrawn(config, tmp_path), 6)["model"])


def undrawn(config, tmp_path: Path) -> Path:
    assert run(config, tmp_path / "without")
    return tmp_path / "without"


def test_first_weights_that_were_never_there_are_missed(shards, tmp_path):
    with pytest.raises(TrainError, match=r"none\.pt"):
        run(config_of(shards), tmp_path / "run", init=tmp_path / "none.pt")


def test_another_number_of_batches_by_heart_is_refused(shards, tmp_path):
    config, out = config_of(shards), tmp_path / "run"
    assert run(config, out, overfit_batches=1, limit_steps=2)
    for other in (None, 2):
        with pytest.raises(TrainError, match=rf"--overfit-batches \(1 -> {other}\); use the old"):
            run(config, out, overfit_batches=other)
    assert run(config, out, overfit_batches=1, limit_steps=3)
    assert run(config, out, overfit_batches=2, limit_steps=4, force_resume=True)
    with pytest.raises(TrainError, match=r"--overfit-batches \(2 -> 1\)"):
        run(config, out, overfit_batches=1)
