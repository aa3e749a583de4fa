"""Fine-tuning in two phases, each a run of its own: the new head alone, then all of the network.

``OUT/1-head`` and ``OUT/2-all`` hold what any run does. The second begins with the last checkpoint
of the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mimic.layered import validated
from train.config import TrainConfig
from train.engine.checkpoint import latest, steps_in
from train.engine.given import check_data
from train.engine.say import Progress
from train.engine.session import Asked, session_in
from train.engine.world import World
from train.errors import TrainError
from train.methods import method_of
from train.methods.options import NetOptions
from train.models.checkpoints import read_checkpoint
from train.models.sizes import (
    CovisibilitySegmenterConfig,
    CrossViewCompletionConfig,
    NetConfig,
)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: its name in a recipe, its folder in the run's, and what it trains."""

    name: str
    folder: str
    trains: str


HEAD = Phase("head", "1-head", "the new head alone")
ALL = Phase("all", "2-all", "all of the network")


def run_phases(
    world: World,
    configs: dict[Phase, TrainConfig],
    asked: Asked,
    progress: Callable[[Phase], Progress],
) -> Path | None:
    """Go through both phases, from wherever they are; the last checkpoint.

    Args:
        world: this process.
        configs: of each phase, in their order.
        asked: the folder of both; its ``init`` is the first's, the rest holds for each.
        progress: tells of a phase.

    Returns:
        None where it was asked to stop, and can go on.
    """
    check_data(configs[ALL])  # before hours of the other
    init = asked.init
    for phase, config in configs.items():
        said, out = progress(phase), asked.out / phase.folder
        said.note(f"phase {phase.folder}: {phase.trains}")
        if init is None and latest(out / "checkpoints") is None:
            said.note("no --init: from scratch, all weights are drawn at random")
        now = dataclasses.replace(asked, out=out, init=init)
        if phase is HEAD and latest(asked.out / ALL.folder / "checkpoints") is not None:
            # The second phase has begun with its last weights.
            said.note(f"it stays as it is, for {ALL.folder} has begun with it")
            now = dataclasses.replace(now, limit_steps=steps_in(out / "checkpoints")[-1])
        ended = session_in(world, config, now, said)
        if ended.stop_asked or not ended.whole:
            return None
        init = latest(out / "checkpoints")
    return init


def network_of(config: TrainConfig, asked: Asked, sizes_said: str | None) -> NetConfig:
    """The network of a run: that of its first weights, where their file tells.

    Of one with two views and a decoder that looks at the other, encoder and decoder are taken, of
    any other the encoder. A run that goes on has the network that it has.

    Args:
        config: the first phase's; its options say what a file does not.
        asked: names the run's folder and the file.
        sizes_said: an option of the command line that says a size; None: there is none.

    Raises:
        TrainError: both a file and an option say it.
    """
    options = validated(method_of(config.method).Options, config.options)
    assert isinstance(options, NetOptions)
    path = latest(asked.out / HEAD.folder / "checkpoints") or asked.init
    tells = path is not None and (asked.init is not None or sizes_said is None)
    known = read_checkpoint(path).config if tells and path is not None else None
    if known is None:
        width, height = config.data.views.size
        sized = {**options.encoder, "image_size": [height, width]}
        encoder = options.model_copy(update={"encoder": sized}).encoder_config()
        return CovisibilitySegmenterConfig(encoder=encoder, decoder=options.decoder_config())
    if sizes_said is not None and path == asked.init:
        raise TrainError(f"--set {sizes_said}: the network is that of --init {path}; leave it out")
    decoder = known.decoder if _looks_across(known) else options.decoder_config()
    encoder = dataclasses.replace(known.encoder, class_token=False)
    return CovisibilitySegmenterConfig(encoder=encoder, decoder=decoder)


def with_network(config: TrainConfig, net: NetConfig) -> TrainConfig:
    """The config with all of a network's sizes, and positions for the size of its pictures."""
    width, height = config.data.views.size
    encoder = dataclasses.replace(net.encoder, image_size=(height, width))
    plain = dataclasses.replace(net, encoder=encoder).to_dict()
    parts = {"encoder": plain["encoder"], "decoder": plain["decoder"]}
    return config.model_copy(update={"options": {**config.options, **parts}})


def _looks_across(config: NetConfig) -> bool:
    if isinstance(config, CrossViewCompletionConfig):
        return config.block == "cross"
    return isinstance(config, CovisibilitySegmenterConfig)
