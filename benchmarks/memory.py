"""Peak memory of a worker: one minute of 1080p footage against one hour.

    python benchmarks/memory.py [--minutes 60] [--fps 25] [--preset default] [--work DIR]

Encodes one minute of a moving 1080p picture, repeats its packets to the asked length (the picture
starts again each minute), and mines both, each in a fresh process that runs all units one after
another, as a worker does. Prints the peak resident memory of both, in MB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

SIZE = (1920, 1080)


def encode_minute(path: Path, fps: int) -> None:
    """A window that slides over a large random texture: every frame differs, SIFT finds plenty."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (140, 400, 3), dtype=np.uint8)
    texture = coarse.repeat(16, axis=0).repeat(16, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "30", "g": "50"}
        for frame in range(60 * fps):
            k = frame * 25 // fps
            x, y = int(2200 + 2100 * np.sin(k / 300)), int(500 + 480 * np.sin(k / 170))
            crop = np.ascontiguousarray(texture[y : y + SIZE[1], x : x + SIZE[0]])
            for packet in stream.encode(av.VideoFrame.from_ndarray(crop, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def repeat_packets(source: Path, target: Path, times: int) -> None:
    """The same coded minute again and again, with time stamps that go on (no re-encoding)."""
    with av.open(str(target), "w") as output:
        stream = None
        for k in range(times):
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                shift = int(Fraction(60 * k) / video.time_base)
                for packet in container.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    output.mux(packet)


def mine_all(video: str, preset: Literal["default", "mimic"]) -> None:
    """Every unit of the video in this process; prints units, pairs and the peak memory in MB."""
    from mimic import sources
    from mimic.config import load_config
    from mimic.types import SourceItem, WorkUnit
    from mimic.unit import run_unit

    config = load_config(preset, assignments=("source.video.probe_above_mb=0",))
    units = pairs = 0
    for item in sources.discover(video, config):
        assert isinstance(item, SourceItem), item
        for unit in sources.split(item, config):
            assert isinstance(unit, WorkUnit), unit
            pairs += sum(row["verdict"] == "kept" for row in run_unit(unit, config).edges)
            units += 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{units} | {pairs} | {peak_mb:.0f}")


def main() -> None:
    """Make both videos, mine each in its own process, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--preset", choices=["default", "mimic"], default="default")
    parser.add_argument("--work", type=Path, default=None, help="where the videos go")
    parser.add_argument("--mine", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mine:
        mine_all(arguments.mine, arguments.preset)
        return
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        minute, long = Path(folder, "minute.mp4"), Path(folder, "long.mp4")
        encode_minute(minute, arguments.fps)
        repeat_packets(minute, long, arguments.minutes)
        print("| footage | units | pairs | peak MB |\n| --- | --- | --- | --- |")
        for name, video in (("1 min", minute), (f"{arguments.minutes} min", long)):
            command = [sys.executable, __file__, "--mine", str(video), "--preset", arguments.preset]
            out = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"| {name} | {out.stdout.strip()} |", flush=True)


if __name__ == "__main__":
    main()
