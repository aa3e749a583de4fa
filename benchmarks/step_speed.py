"""A training step: pairs a second and the share of the device's matrix rate, ours and plain.

    python benchmarks/step_speed.py --method croco --recipe croco --batch 256 --compile   # a GPU
    python benchmarks/step_speed.py --method croco --recipe croco --batch 8               # a CPU

Ours is the loop's own step: fused attention, the recipe's precision (bf16 on a GPU, fp32 on a CPU),
colours and masks drawn as always, and compiled where asked. The plain way is the same network and
batch as the peers' published code runs them: attention as two products with a softmax between, fp16
autocast with a scaled loss on a GPU (fp32 on a CPU), an optimiser that is not fused, nothing
compiled. Both take turns in one process, so that load hits both; the best round of each counts.

Operations are counted by train.models.flops (matrix products; a step is three forward passes); the
matrix rate is that of one large product in the precision of that way. With --shards, the loop also
runs on them with its loader, and says how long it waited for data.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from train.config import TrainConfig, load_train_config
from train.data import DataSets, Wanted, open_sets
from train.data.batch import Batch
from train.engine.loading import loader_of
from train.engine.loop import one_step
from train.engine.numerics import DTYPES, Stepper
from train.engine.peak import measured_peak, seconds
from train.engine.run import Run, put_together
from train.engine.world import World
from train.methods import build_method, method_of

WARM_UP = 3


@dataclass
class Way:
    """A way to train: its run, what holds while it steps, and its best time."""

    name: str
    run: Run
    around: Callable[[], AbstractContextManager[object]]
    best_s: float = math.inf

    def steps(self, batch: Batch, count: int) -> None:
        """So many steps on the same batch."""
        with self.around():
            for _ in range(count):
                one_step(self.run, batch)


def plain_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """As MAE's and CroCo's code has it: [B, heads, N, D] each."""
    weights = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
    return weights.softmax(dim=-1) @ value


def plainly() -> AbstractContextManager[object]:
    """Attention is not fused within."""
    return patch("train.models.attention.scaled_dot_product_attention", plain_attention)


def config_of(arguments: argparse.Namespace, *assignments: str) -> TrainConfig:
    """The recipe with the batch that was asked for."""
    overrides = {
        "data": {"sets": [{"url": arguments.shards or "-"}]},
        "batch": arguments.batch,
        "hardware": {"decode_threads": arguments.decode_threads},
    }
    asked = tuple(arguments.assignments or ())
    return load_train_config(arguments.method, arguments.recipe, overrides, (*asked, *assignments))


def run_of(config: TrainConfig, device: torch.device) -> Run:
    """A run that writes nothing."""
    torch.manual_seed(0)
    method = build_method(config.method, config.options)
    no_data = ("none", 1000.0)
    return put_together(config, World(0, 1, device), Path("-"), method, no_data)


def random_batch(config: TrainConfig, pin: bool) -> Batch:
    """Random pictures and labels: what is in them costs nothing."""
    count, views = config.batch, 1 if method_of(config.method).singles else 2
    width, height = config.data.views.size
    shape = (count, views, height, width)
    pixels = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8)
    covis = torch.randint(0, 3, shape, dtype=torch.uint8)
    images = pixels.permute(0, 1, 4, 2, 3)
    return Batch(
        step=0,
        keys=tuple(map(str, range(count))),
        numbers=torch.arange(count),
        images=images.pin_memory() if pin else images,
        intrinsics=torch.full((count, views, 3, 3), math.nan),
        cam_to_world=torch.eye(4).expand(count, views, 4, 4),
        homography=torch.full((count, 3, 3), math.nan),
        covis=covis.pin_memory() if pin else covis,
        corr=(),
    )


def ways(arguments: argparse.Namespace, device: torch.device) -> list[Way]:
    """Ours and the plain one."""
    on_gpu = device.type == "cuda"
    compiled = f"hardware.compile={str(arguments.compile).lower()}"
    ours = run_of(
        config_of(arguments, f"numerics.precision={'bf16' if on_gpu else 'fp32'}", compiled), device
    )
    plain = run_of(
        config_of(arguments, f"numerics.precision={'fp16' if on_gpu else 'fp32'}"), device
    )
    groups = [{**group, "fused": False} for group in plain.optimiser.param_groups]
    plain.optimiser = torch.optim.AdamW(groups, lr=0.0)
    numerics, clip = plain.config.numerics, plain.config.optimiser.clip_norm
    plain.stepper = Stepper(plain.wrapped, plain.optimiser, numerics, clip, device)
    precision = ours.config.numerics.precision
    return [
        Way(f"ours ({precision}{', compiled' if arguments.compile else ''})", ours, nullcontext),
        Way(f"plain ({plain.config.numerics.precision}, attention not fused)", plain, plainly),
    ]


def described(way: Way) -> str:
    """What is measured, and where."""
    method, config, device = way.run.method, way.run.config, way.run.world.device
    weights = sum(p.numel() for p in method.parameters()) / 1e6
    cores = f"{torch.get_num_threads()} threads of a CPU"
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else cores
    return (
        f"{config.method}, recipe {config.recipe} ({weights:.0f} M weights, "
        f"{method.training_flops() / 1e9:.1f} GFLOP a sample and step), batch {config.batch}, on "
        f"{where}, torch {torch.__version__}"
    )


def rows(arguments: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """The table."""
    found = ways(arguments, device)
    batch = random_batch(found[0].run.config, device.type == "cuda")
    for way in found:
        way.steps(batch, WARM_UP)
    for _ in range(arguments.rounds):
        for way in found:
            passed_s = seconds(device, lambda way=way: way.steps(batch, arguments.steps))  # type: ignore[misc]
            way.best_s = min(way.best_s, passed_s / arguments.steps)
    flops = found[0].run.method.training_flops()
    yield f"{described(found[0])}; best of {arguments.rounds} rounds of {arguments.steps} steps."
    yield (
        "\n| way | samples a second | TFLOP/s | matrix rate, TFLOP/s | share |\n"
        + "| --- " * 5
        + "|"
    )
    for way in found:
        dtype = DTYPES.get(way.run.config.numerics.precision, torch.float32)
        peak = measured_peak(device, dtype)
        rate = len(batch) / way.best_s
        yield (
            f"| {way.name} | {rate:.1f} | {rate * flops / 1e12:.2f} | {peak / 1e12:.2f} "
            f"| {rate * flops / peak:.0%} |"
        )
    yield f"\nOurs is {found[1].best_s / found[0].best_s:.2f} times as fast as the plain way."
    if device.type == "cuda":
        yield f"Memory at its highest: {torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB."
    if arguments.shards:
        yield waited(arguments, found[0], device)


def waited(arguments: argparse.Namespace, ours: Way, device: torch.device) -> str:
    """The loop's steps on real pairs."""
    config, method = ours.run.config, ours.run.method
    cut = method.labelled and config.data.views.crop != "squash"
    wanted = Wanted(geometry=cut, covis=method.labelled, corr=False, depth=cut)
    data: DataSets = open_sets(config.data, "train", wanted)
    data = data.singles() if method.singles else data
    order = data.order(0, config.batch)
    loader = loader_of(ours.run.world, config, data, order, config.data.views)
    count = arguments.steps * arguments.rounds
    batches = loader.batches(0, count + WARM_UP)
    for _ in range(WARM_UP):
        one_step(ours.run, next(batches))
    before = loader.wait_s

    def rest() -> None:
        for batch in batches:
            one_step(ours.run, batch)

    passed_s = seconds(device, rest)
    return (
        f"On {len(data):,} samples of shards: {config.batch * count / passed_s:.1f} samples a "
        f"second, waiting for data {(loader.wait_s - before) / passed_s:.1%} of the time."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--method", default="croco")
    parser.add_argument("--recipe")
    parser.add_argument("--set", dest="assignments", action="append", metavar="KEY=VALUE")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--decode-threads", type=int, default=0)
    parser.add_argument(
        "--shards", help="also train on these, and say how long data was waited for"
    )
    arguments = parser.parse_args()
    for line in rows(arguments, torch.device(arguments.device)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
