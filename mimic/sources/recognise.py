"""What a source is, from its content: which files are videos, photos, frames, pair lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePosixPath

from mimic.config import Config
from mimic.errors import MimicError
from mimic.simulators import Kind
from mimic.simulators.habitat import installed
from mimic.sources import frames, pairs
from mimic.sources.base import File
from mimic.sources.places import Place
from mimic.sources.posed import POSED_KINDS, files_of, find_posed
from mimic.sources.registries import SceneEntry, parse_registry, resolve
from mimic.sources.replay import poses_head, replayed_scenes
from mimic.sources.rgbd import find_sequences
from mimic.sources.scene_files import belongings, scenes_among
from mimic.types import Skipped

# fmt: off
VIDEO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".264", ".265", ".amv", ".asf", ".av1", ".avi", ".divx", ".dv",
        ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc", ".insv", ".ivf", ".lrv", ".m1v",
        ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mov", ".mp4",
        ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".nuv", ".obu", ".ogm", ".ogv",
        ".qt", ".rm", ".rmvb", ".swf", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m",
    }
)
IMAGE_SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm",
        ".ppm", ".tif", ".tiff", ".webp",
    }
)
AUDIO_SUFFIXES = frozenset(
    {
        ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav",
        ".wma",
    }
)
# fmt: on

MIN_FRAMES = 12
"""Fewer numbered pictures are photos."""
MIN_REGULAR = 0.8
"""Share of the steps between numbers that must be the usual one."""
_CAMERA_NAME = re.compile(
    r"(img|dsc|dscn|dscf|pxl|mvimg|p|pict|sam|gopr|dji|\d{3})[_-]?$", re.IGNORECASE
)
"""Prefixes that cameras give to single photos, which are numbered, too."""

_WORDS = {
    "video": "video",
    "photos": "photo",
    "frames": "extracted frame",
    "pairs": "pair list",
    "rgbd": "RGB-D sequence",
    "posed": "posed sequence",
    "unscaled": "posed, unscaled sequence",
    "raycast": "scene",
    "habitat": "scene",
}


_RENDERED = {"raycast": " (seen by the built-in ray caster)", "habitat": " (seen by habitat-sim)"}


@dataclass(frozen=True, slots=True)
class Recognised:
    """Files by kind, and what is left out. ``sentence`` says it to a person."""

    where: str
    files: dict[str, list[File]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    forced: bool = False
    replay: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Files of each kind; of sequences, which are made of many, how many there are."""
        counts = {kind: len(files) for kind, files in self.files.items()}
        if "rgbd" in counts:
            counts["rgbd"] = len(find_sequences(self.files["rgbd"])[0])
        for kind in POSED_KINDS & counts.keys():
            counts[kind] = len(find_posed(self.files[kind])[kind])
        return counts

    @property
    def sentence(self) -> str:
        """For example: ``videos/: 20 videos, 8 photos (recognised; force with --kind)``."""
        parts = [
            _counted(number, _WORDS[kind]) + _RENDERED.get(kind, "")
            for kind, number in self.counts.items()
        ]
        if self.replay:
            return f"{self.where}: recorded views of {', '.join(parts)}"
        how = "as forced" if self.forced else "recognised; --kind forces it"
        return f"{self.where}: {', '.join(parts)} ({how})"


def recognise_files(place: Place, config: Config) -> Recognised:
    """Sort the files of a place into kinds; ``config.source.kind`` forces one.

    Raises:
        MimicError: nothing there can be mined.
    """
    kind = config.source.kind
    by_kind, skipped = _by_suffix(place, config) if kind == "auto" else _forced(place, kind)
    if kind == "auto":
        _move_frames(by_kind)
    by_kind = {name: files for name, files in by_kind.items() if files}
    if not by_kind:
        what = (
            "videos, pictures, RGB-D sequences or 3D scenes"
            if kind == "auto"
            else _counted(2, _WORDS[kind])[2:]
        )
        raise MimicError(
            f"--source {place.where}: holds {_counted(len(place.files), 'file')}, but no {what}; "
            "name another place, or force what it is with --kind"
        )
    return Recognised(place.where, by_kind, tuple(skipped), forced=kind != "auto")


def registered_scenes(where: str, config: Config) -> Recognised | None:
    """The scenes of a data set by its name (``hm3d/val:/data/hm3d``); None for all else.

    Raises:
        MimicError: the data set is not there, or has no such split.
    """
    named = parse_registry(where)
    if named is None:
        return None
    name, split, root = named
    kind = renderer_of(config)
    entries = resolve(name, root, split, habitat=kind == "habitat")
    files = [_registered(name, entry) for entry in entries]
    return Recognised(where, {kind: files}, forced=config.source.kind == kind)


def replayed(where: str, config: Config) -> Recognised | None:
    """The scenes of a poses file; None for a source that is none.

    Raises:
        MimicError: the config is not that of the poses, or a scene is missing or another one.
    """
    head = poses_head(where)
    if head is None:
        return None
    kind, files = replayed_scenes(where, head, config)
    return Recognised(where, {kind: files}, replay=True)


def renderer_of(config: Config) -> Kind:
    """Who renders scenes: whom the config forces, else habitat-sim where it is installed."""
    kind = config.source.kind
    if kind == "raycast" or kind == "habitat":
        return kind
    return "habitat" if installed() else "raycast"


def _registered(name: str, entry: SceneEntry) -> File:
    known = {"dataset": name, "up": entry.up}
    if entry.scene_dataset_config is not None:
        known["scene_dataset"] = entry.scene_dataset_config
    return replace(entry.file, settings=tuple(sorted(known.items())))


def _by_suffix(place: Place, config: Config) -> tuple[dict[str, list[File]], list[Skipped]]:
    found: dict[str, list[File]] = {"video": [], "photos": [], "frames": [], "pairs": []}
    audio, others = [], []
    kind = renderer_of(config)
    scenes, parts = scenes_among(place.files, prefer_basis=kind == "habitat")
    theirs = {*scenes, *parts, *belongings(scenes, place.files)}
    found[kind] = scenes
    _, of_sequences = find_sequences([file for file in place.files if file not in theirs])
    found["rgbd"] = [file for file in place.files if file in of_sequences]
    theirs |= of_sequences
    rest = [file for file in place.files if file not in theirs]
    for posed_kind, sequences in find_posed(rest).items():
        found[posed_kind] = _in_order(files_of(sequences, rest), rest)
        theirs.update(found[posed_kind])
    for file in place.files:
        if file in theirs:
            continue
        suffix = _suffix(file)
        if suffix in IMAGE_SUFFIXES:
            found["photos"].append(file)
        elif place.explicit and suffix in pairs.SUFFIXES:
            found["pairs"].append(file)
        elif suffix in VIDEO_SUFFIXES or (place.explicit and suffix not in AUDIO_SUFFIXES):
            found["video"].append(file)
        elif suffix in AUDIO_SUFFIXES:
            audio.append(file)
        else:
            others.append(file)
    return found, [
        *_left_out(audio, "no_video_stream", "audio only, no video stream"),
        *_left_out(others, "unknown", "neither video nor picture"),
    ]


def _forced(place: Place, kind: str) -> tuple[dict[str, list[File]], list[Skipped]]:
    """Everything that may be of the kind: named files are taken at the user's word."""
    if kind == "rgbd":
        _, theirs = find_sequences(place.files)
        others = [file for file in place.files if file not in theirs]
        return {kind: [f for f in place.files if f in theirs]}, _left_out(
            others, "unknown", "not of an RGB-D sequence"
        )
    if kind in POSED_KINDS:
        sequences = files_of(find_posed(place.files)[kind], place.files)
        others = [file for file in place.files if file not in sequences]
        return {kind: _in_order(sequences, place.files)}, _left_out(
            others, "unknown", "not of a sequence with poses"
        )
    if kind in {"raycast", "habitat"}:
        scenes, parts = scenes_among(place.files, prefer_basis=kind == "habitat")
        theirs = {*scenes, *parts, *belongings(scenes, place.files)}
        others = [file for file in place.files if file not in theirs]
        return {kind: scenes}, _left_out(others, "unknown", "not a scene")
    suffixes = {
        "video": VIDEO_SUFFIXES,
        "photos": IMAGE_SUFFIXES,
        "frames": IMAGE_SUFFIXES,
        "pairs": frozenset(pairs.SUFFIXES),
    }[kind]
    taken = [f for f in place.files if place.explicit or _suffix(f) in suffixes]
    others = [f for f in place.files if f not in set(taken)]
    return {kind: taken}, _left_out(others, "unknown", f"not taken as {kind}")


def _in_order(chosen: set[File], files: Sequence[File]) -> list[File]:
    return [file for file in files if file in chosen]


def _left_out(files: Sequence[File], reason: str, what: str) -> list[Skipped]:
    """One line for all files of a sort, not one a file."""
    if not files:
        return []
    name = files[0].name
    if len(files) == 1:
        return [Skipped(name, reason, f"{name}: {what}")]
    return [Skipped(name, reason, f"{len(files)} files left out ({what}), first {name}")]


def _move_frames(by_kind: dict[str, list[File]]) -> None:
    """Take the sequences of extracted frames out of the photos."""
    numbered = {
        file for files in frames.sequences(by_kind["photos"]).values() if _is_video(files)
        for file in files
    }  # fmt: skip
    by_kind["frames"] = [file for file in by_kind["photos"] if file in numbered]
    by_kind["photos"] = [file for file in by_kind["photos"] if file not in numbered]


def _is_video(files: Sequence[File]) -> bool:
    """Whether numbered pictures of one folder are a video's frames: many, regular, of one size."""
    if len(files) < MIN_FRAMES or _CAMERA_NAME.search(frames.prefix_of(files[0].name)):
        return False
    steps = Counter(frames.number_of(b.name) - frames.number_of(a.name) for a, b in pairwise(files))
    step, count = steps.most_common(1)[0]
    if step < 1 or count < MIN_REGULAR * (len(files) - 1):
        return False
    return len({_picture_size(files[i]) for i in (0, len(files) // 2, -1)}) == 1


def _picture_size(file: File) -> tuple[int, int] | None:
    from mimic.opencv import decode_image

    try:
        height, width = decode_image(file.storage.read(file.basename)).shape[:2]
    except ValueError:
        return None
    return width, height


def _suffix(file: File) -> str:
    return PurePosixPath(file.name).suffix.lower()


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
