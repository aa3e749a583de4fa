"""The data of a run: what is trained on, and what is held out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from train.config import TrainConfig
from train.data import DataSets, Wanted, open_held_out, open_sets
from train.errors import TrainError
from train.methods import method_of


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What is trained on, and what is held out of it.

    ``without``: why sets have no part in what is held out, a sentence each.
    """

    data: DataSets
    held_out: DataSets | None = None
    without: tuple[str, ...] = ()

    def singles(self) -> Given:
        """Every view as a sample of its own."""
        held_out = None if self.held_out is None else self.held_out.singles()
        return replace(self, data=self.data.singles(), held_out=held_out)

    def close(self) -> None:
        """Let go of open files."""
        self.data.close()
        if self.held_out is not None:
            self.held_out.close()


@contextmanager
def given(config: TrainConfig) -> Iterator[Given]:
    """The data of a config, which hold what its method asks of them.

    Raises:
        TrainError: they do not.
    """
    method = method_of(config.method)
    labelled = method.reads_labels(config.options)
    cut = labelled and config.data.views.crop != "squash"  # labels then need their depth
    wanted = Wanted(geometry=cut or method.posed, covis=labelled, corr=False, depth=cut)
    found = Given(open_sets(config.data, "train", wanted))
    if method.posed:
        _check_posed(found.data, config)
    if labelled:
        _check_labelled(found.data, config)
    if config.report.validate_batches:
        held_out, without = open_held_out(config.data, wanted)
        found = replace(found, held_out=held_out, without=without)
    if method.singles:
        found = found.singles()
    try:
        yield found
    finally:
        found.close()


def check_data(config: TrainConfig) -> None:
    """Whether the data hold what a session would ask of them; a session does so, too.

    Raises:
        TrainError: they do not.
    """
    with given(config):
        pass


def _check_labelled(data: DataSets, config: TrainConfig) -> None:
    """Without labels all pixels are unknown, and a run would learn nothing and not say so."""
    for part, source in zip(data.sets, config.data.sets, strict=True):
        if part.load(0).covis is None:
            raise TrainError(
                f"--shards {source.url}: has no co-visibility labels, which {config.method} learns "
                "from; label them with `mimic label`, or mine with --set labels.covis=true"
                + method_of(config.method).or_without_labels
            )


def _check_posed(data: DataSets, config: TrainConfig) -> None:
    """Without poses there is nothing to learn."""
    for part, source in zip(data.sets, config.data.sets, strict=True):
        geometry = part.load(0).geometry
        if geometry is None or not np.isfinite(geometry.cam_to_world).all():
            raise TrainError(
                f"--shards {source.url}: has no camera poses in metres, which {config.method} "
                "learns from; mine scenes or sequences with poses, or give videos poses with "
                "`mimic reconstruct`"
            )
