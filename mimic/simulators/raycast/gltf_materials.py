"""The materials of a glTF tree: which picture, how it repeats, where it lies on the surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic.errors import SourceError
from mimic.simulators.raycast.materials import WHITE, Factor, Material, Picture, Wrap, decoded
from mimic.types import UInt8Image

Tree = dict[str, Any]

NEEDS_HABITAT = "mine it with habitat-sim, or export the scene uncompressed"
_WRAPS: dict[int, Wrap] = {10497: "repeat", 33071: "clamp", 33648: "mirror"}
_UNREADABLE_PICTURES = {
    "KHR_texture_basisu": "KTX2/Basis",
    "MSFT_texture_dds": "DDS",
    "EXT_texture_avif": "AVIF",
}
_BLEND_CUTOFF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A material, and how texture coordinates come to it: their set and their transform."""

    material: Material
    texcoord: int = 0
    transform: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def moved(self, uv: NDArray[np.float64]) -> NDArray[np.float64]:
        """Texture coordinates (n, 2) after KHR_texture_transform."""
        return uv @ self.transform[:2, :2].T + self.transform[:2, 2]


def looks_of(
    tree: Tree, picture_bytes: Callable[[int], tuple[bytes, str]], scene: str
) -> list[Look]:
    """All materials of a tree, and the default one at the end.

    Raises:
        SourceError: ``compressed`` or ``missing_texture``; it names the picture.
    """
    pictures = _Pictures(tree, picture_bytes, scene)
    return [
        *(_look(material, pictures) for material in tree.get("materials", [])),
        Look(Material()),
    ]


def _look(material: Tree, pictures: _Pictures) -> Look:
    extensions = material.get("extensions", {})
    surface = material.get("pbrMetallicRoughness", {})
    texture, factor = surface.get("baseColorTexture"), surface.get("baseColorFactor", WHITE)
    if "KHR_materials_pbrSpecularGlossiness" in extensions:
        surface = extensions["KHR_materials_pbrSpecularGlossiness"]
        texture, factor = surface.get("diffuseTexture"), surface.get("diffuseFactor", WHITE)
    if texture is None and "emissiveTexture" in material:  # light baked into what glows
        texture, factor = material["emissiveTexture"], (*material.get("emissiveFactor", ()), 1.0)
    opaque = material.get("alphaMode", "OPAQUE") == "OPAQUE"
    cutoff = material.get("alphaCutoff", 0.5) if material.get("alphaMode") == "MASK" else None
    if not opaque and cutoff is None:  # BLEND: a pixel shows one surface, so glass is left out
        cutoff = _BLEND_CUTOFF
    colour: Factor = tuple(float(value) for value in factor)  # type: ignore[assignment]
    if texture is None:
        return Look(Material(None, colour, cutoff))
    move = texture.get("extensions", {}).get("KHR_texture_transform", {})
    return Look(
        Material(pictures.of(texture["index"]), colour, cutoff),
        move.get("texCoord", texture.get("texCoord", 0)),
        _transform(move),
    )


def _transform(move: Tree) -> NDArray[np.float64]:
    """KHR_texture_transform as a (3, 3) matrix: translation x rotation x scale."""
    angle = move.get("rotation", 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn * np.array(move.get("scale", (1.0, 1.0)))
    matrix[:2, 2] = move.get("offset", (0.0, 0.0))
    return matrix


class _Pictures:
    """Decodes each picture of a tree once."""

    def __init__(
        self, tree: Tree, picture_bytes: Callable[[int], tuple[bytes, str]], scene: str
    ) -> None:
        self._tree, self._bytes, self._scene = tree, picture_bytes, scene
        self._images: dict[int, UInt8Image] = {}
        self._textures: dict[int, Picture] = {}

    def of(self, index: int) -> Picture:
        if index not in self._textures:
            texture = self._tree["textures"][index]
            sampler = self._tree["samplers"][texture["sampler"]] if "sampler" in texture else {}
            wraps = [_WRAPS[sampler.get(key, 10497)] for key in ("wrapS", "wrapT")]
            image = self._image(self._source(texture))
            self._textures[index] = Picture(image, (wraps[0], wraps[1]))
        return self._textures[index]

    def _source(self, texture: Tree) -> int:
        extensions = texture.get("extensions", {})
        if "EXT_texture_webp" in extensions:
            return int(extensions["EXT_texture_webp"]["source"])
        if "source" in texture:
            return int(texture["source"])
        for name in extensions:
            kind = _UNREADABLE_PICTURES.get(name, name)
            raise SourceError(
                "compressed", f"{self._scene}: its textures are {kind}-compressed; {NEEDS_HABITAT}"
            )
        raise SourceError("missing_texture", f"{self._scene}: a texture in it has no picture")

    def _image(self, index: int) -> UInt8Image:
        if index not in self._images:
            if self._tree["images"][index].get("mimeType") == "image/ktx2":
                message = f"{self._scene}: its textures are KTX2/Basis-compressed; {NEEDS_HABITAT}"
                raise SourceError("compressed", message)
            self._images[index] = decoded(*self._bytes(index), self._scene)
        return self._images[index]
