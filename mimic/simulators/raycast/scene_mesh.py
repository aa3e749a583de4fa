"""A scene as triangles in the +y-up world, with what is painted on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mimic.errors import MimicError, SourceError
from mimic.simulators.raycast import gltf, plain
from mimic.simulators.raycast.materials import Material
from mimic.simulators.raycast.pieces import Piece

Up = Literal["y", "z"]

READERS = {".glb": gltf.read, ".gltf": gltf.read, ".ply": plain.read_ply, ".obj": plain.read_obj}
"""What reads a file, by its suffix in lower case."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneMesh:
    """All triangles of a scene; metres, +y up.

    ``triangles`` (F, 3, 3) float32: corner, axis. ``material`` (F,) int32 index into ``materials``.
    ``uv`` (F, 3, 2) float32: u to the right and v down a picture, 0..1 across it. ``colours``
    (F, 3, 3) uint8: of the corners, multiplied with the texture; None: all white. ``textured``:
    there is something to recognise: a picture, corner colours, or at least two colours of paint.
    """

    triangles: NDArray[np.float32]
    material: NDArray[np.int32]
    uv: NDArray[np.float32]
    colours: NDArray[np.uint8] | None
    materials: tuple[Material, ...]
    textured: bool


def load_scene(path: Path, up: Up = "y") -> SceneMesh:
    """Read a scene (GLB, glTF, PLY, OBJ).

    Args:
        path: the file.
        up: its upward axis; with ``z`` a point (x, y, z) of the file is (x, z, -y) in the world.

    Raises:
        SourceError: ``unreadable`` (no scene, damaged, cut off), ``empty`` (no triangles),
            ``missing_texture`` (names a file that is not there or no picture), ``compressed``
            (an encoding that only habitat-sim reads).
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(path, f"the suffix is none of {', '.join(READERS)}")
    if not path.is_file():
        raise _unreadable(path, "there is no such file")
    try:
        pieces, materials = reader(path)
    except MimicError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # readers of foreign formats fail in every way there is
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    return _joined(path, pieces, materials, up)


def _unreadable(path: Path, why: str) -> SourceError:
    return SourceError(
        "unreadable", f"{path}: cannot be read as a 3D scene ({why}); is the file complete?"
    )


def _joined(path: Path, pieces: list[Piece], materials: tuple[Material, ...], up: Up) -> SceneMesh:
    """One mesh of all pieces, in the world, without faces that have no area."""
    kept = [piece for piece in map(_with_area, pieces) if len(piece.triangles)]
    if not kept:
        raise SourceError("empty", f"{path}: the scene has no triangles; export it with its mesh")
    triangles = np.concatenate([piece.triangles for piece in kept])
    if up == "z":
        triangles = triangles[:, :, [0, 2, 1]] * np.array([1, 1, -1])
    sizes = [len(piece.triangles) for piece in kept]
    uv = [
        np.zeros((size, 3, 2)) if piece.uv is None else piece.uv
        for piece, size in zip(kept, sizes, strict=True)
    ]
    return SceneMesh(
        triangles=np.ascontiguousarray(triangles, np.float32),
        material=np.repeat([piece.material for piece in kept], sizes).astype(np.int32),
        uv=np.ascontiguousarray(np.concatenate(uv), np.float32),
        colours=_colours(kept),
        materials=materials,
        textured=_is_textured(kept, materials),
    )


def _with_area(piece: Piece) -> Piece:
    corners = piece.triangles.astype(np.float32).astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    good = np.isfinite(corners).all(axis=(1, 2)) & (np.abs(across).max(axis=1) > 0)
    if piece.uv is not None:
        good &= np.isfinite(piece.uv).all(axis=(1, 2))
    return piece if good.all() else piece.only(good)


def _colours(pieces: list[Piece]) -> NDArray[np.uint8] | None:
    if all(piece.colours is None for piece in pieces):
        return None
    white = [np.full((len(piece.triangles), 3, 3), 255, np.uint8) for piece in pieces]
    return np.concatenate(
        [
            blank if piece.colours is None else piece.colours
            for piece, blank in zip(pieces, white, strict=True)
        ]
    )


def _is_textured(pieces: list[Piece], materials: tuple[Material, ...]) -> bool:
    used = [(materials[piece.material], piece.uv is not None) for piece in pieces]
    if any(material.picture is not None and mapped for material, mapped in used):
        return True
    if any(piece.colours is not None and np.ptp(piece.colours) > 0 for piece in pieces):
        return True
    paints = {
        (
            materials[piece.material].factor,
            None if piece.colours is None else tuple(piece.colours[0, 0]),
        )
        for piece in pieces
    }
    return len(paints) > 1
