"""What a hit needs to know of its face, packed so that one gather brings it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimic.simulators.raycast.scene_mesh import SceneMesh
from mimic.simulators.raycast.textures import ALPHA, LEVELS, Pyramids, add_weighted

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Along a grazing surface a pixel's footprint is long and narrow. The mean of its sides would be
# the slope to the power of -0.5; this is nearer to the long one, which shimmers least.
_SLOPE_POWER = np.float32(-0.7)
# A level is at most this much coarser than the one whose texel is as large as the face: in an atlas
# of patches, coarser ones show what lies beside the patch.
_EXTENT_BIAS = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class FaceTable:
    """Per face: ``normals`` (F, 3) float32, unit, by the order of the corners.

    ``mapping`` (F, 8) float32: u of the first corner and its changes to the second and third, the
    same of v, log2 of the texels of level 0 in a metre, and the coarsest level allowed.
    ``material`` (F,) int32; ``corners`` (F, 3) int32 packed colours or None; ``cutoff`` (M,) alpha
    0..255 below which there is no surface, -1 where that is not asked; ``cut_out`` (F,) where it
    is, ``cut_outs`` whether anywhere. ``wraps``: coordinates lead out of the pictures somewhere.
    """

    normals: Floats
    mapping: Floats
    material: Ints
    corners: Ints | None
    cutoff: Floats
    cut_out: NDArray[np.bool_]
    cut_outs: bool
    pyramids: Pyramids
    wraps: bool

    @classmethod
    def of(cls, mesh: SceneMesh) -> FaceTable:
        """Prepare a mesh for rendering."""
        corners = mesh.triangles.astype(np.float64)
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        double_area = np.linalg.norm(across, axis=1)
        pyramids = Pyramids.of(mesh.materials)
        uv = _within(mesh, pyramids)
        cutoffs = [-1.0 if m.cutoff is None else m.cutoff * 255 for m in mesh.materials]
        cut_out = np.array([cutoff > 0 for cutoff in cutoffs])[mesh.material]
        return cls(
            normals=(across / double_area[:, None]).astype(np.float32),
            mapping=_mapping(uv, mesh.material, double_area, pyramids),
            material=mesh.material,
            corners=None if mesh.colours is None else _packed(mesh.colours),
            cutoff=np.array(cutoffs, np.float32),
            cut_out=cut_out,
            cut_outs=bool(cut_out.any()),
            pyramids=pyramids,
            wraps=bool((uv.min() < 0) or (uv.max() > 1)),
        )

    def is_cut_out(self, face: Ints, first: Floats, second: Floats) -> NDArray[np.bool_]:
        """Whether hits lie where their material has no surface."""
        cut = np.zeros(len(face), bool)
        asked = np.flatnonzero(self.cut_out.take(face))
        if len(asked):
            material, u, v, _ = self._located(face[asked], first[asked], second[asked])
            level = np.zeros(len(u), np.float32)
            alpha = self.pyramids.sample(material, level, u, v, (ALPHA,))[0]
            cut[asked] = alpha < self.cutoff[material]
        return cut

    def colours(
        self,
        face: Ints,
        first: Floats,
        second: Floats,
        pixel_m: Floats,
        slope: Floats,
        *,
        whole_levels: bool,
    ) -> Floats:
        """Colours (3, N) of hits, 0..255.

        Args:
            face: (N,) faces.
            first: (N,) barycentric coordinate of the second corner.
            second: (N,) of the third.
            pixel_m: (N,) side of a pixel at the hit's depth.
            slope: (N,) absolute cosine between normal and ray, divided by the ray's camera z.
            whole_levels: take the nearest level alone, which is seen only where it changes.
        """
        material, u, v, mapping = self._located(face, first, second)
        level = np.log2(pixel_m * slope**_SLOPE_POWER)
        level += mapping[:, 6]
        np.clip(level, 0, mapping[:, 7], out=level)
        if whole_levels:
            np.rint(level, out=level)
        colour = self.pyramids.sample(material, level, u, v)
        if self.cut_outs:
            thin = np.flatnonzero(self.cut_out.take(face))
            where = material[thin], level[thin], u[thin], v[thin]
            alpha = self.pyramids.sample(*where, (ALPHA,))[0]
            colour[:, thin] = np.minimum(colour[:, thin] * (255 / np.maximum(alpha, 1)), 255)
        if self.corners is not None:
            colour *= self._corner_colours(face, first, second)
        return colour

    def _located(
        self, face: Ints, first: Floats, second: Floats
    ) -> tuple[Ints, Floats, Floats, Floats]:
        """Material, u and v in 0..1, and the mapping of hits."""
        mapping, material = self.mapping.take(face, axis=0), self.material.take(face)
        u = mapping[:, 0] + mapping[:, 1] * first + mapping[:, 2] * second
        v = mapping[:, 3] + mapping[:, 4] * first + mapping[:, 5] * second
        if self.wraps:
            u = self.pyramids.wrapped(u, material, 0)
            v = self.pyramids.wrapped(v, material, 1)
        else:  # rounding may have led a little outside
            u, v = np.clip(u, 0, 1), np.clip(v, 0, 1)
        return material, u, v, mapping

    def _corner_colours(self, face: Ints, first: Floats, second: Floats) -> Floats:
        """Interpolated corner colours (3, N), 0..1."""
        assert self.corners is not None
        packed = self.corners.take(face, axis=0).T
        total = np.zeros((3, len(face)), np.float32)
        scale = np.float32(1 / 255)
        for corner, share in zip(packed, (1 - first - second, first, second), strict=True):
            add_weighted(total, (0, 1, 2), corner, share * scale)
        return total


def _within(mesh: SceneMesh, pyramids: Pyramids) -> NDArray[np.float64]:
    """Texture coordinates, those of repeating pictures shifted by whole pictures to near 0."""
    uv = mesh.uv.astype(np.float64)
    for axis in range(2):
        whole = np.floor(uv[:, :, axis].min(axis=1))
        mode = pyramids.wrap[axis][mesh.material]
        shift = np.where(mode == 0, whole, np.where(mode == 2, 2 * np.floor(whole / 2), 0.0))
        uv[:, :, axis] -= shift[:, None]
    return uv


def _mapping(
    uv: NDArray[np.float64], material: Ints, double_area: NDArray[np.float64], pyramids: Pyramids
) -> Floats:
    """The columns that :class:`FaceTable` describes."""
    size = np.stack([pyramids.width, pyramids.height], axis=1).reshape(len(pyramids.wrap[0]), -1, 2)
    texels = uv * size[material, 0][:, None, :]
    one, two = texels[:, 1] - texels[:, 0], texels[:, 2] - texels[:, 0]
    texel_area = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    longest = np.log2(size[material, 0].max(axis=1))
    with np.errstate(divide="ignore"):
        per_m = 0.5 * np.log2(texel_area / double_area)
        extent = 0.5 * np.log2(texel_area)
    coarsest = np.clip(extent + _EXTENT_BIAS, 0, np.clip(longest - 1, 0, LEVELS - 2))
    columns = [uv[:, 0, 0], *(uv[:, 1:, 0] - uv[:, :1, 0]).T]
    columns += [uv[:, 0, 1], *(uv[:, 1:, 1] - uv[:, :1, 1]).T]
    columns += [np.maximum(per_m, -1e3), coarsest]
    return np.ascontiguousarray(np.column_stack(columns), np.float32)


def _packed(colours: NDArray[np.uint8]) -> Ints:
    """Corner colours (F, 3, 3) as (F, 3) int32, red lowest."""
    values = colours.astype(np.int32)
    return values[:, :, 0] | values[:, :, 1] << 8 | values[:, :, 2] << 16
