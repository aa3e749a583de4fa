"""Parts: what one unit found, as one reproducible tar.

``<frame_id>.jpg``, ``<frame_id>.depth.png`` (where there is depth), ``<frame_1>.<frame_2>.npy``
(correspondences) and ``<frame_1>.<frame_2>.covis_1_2.png`` (label maps, in both directions), all
before the picture of their (first) frame, so that one read gets all, in order of name, then
``frames.parquet`` and ``edges.parquet``. The tables come last because they say where the others
lie. What the unit was mined from stands in the frames table's metadata, so that a part can be
packed with nothing else at hand.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import asdict, dataclass

import pyarrow as pa

from mimic.errors import DamagedError
from mimic.shards.corr import encode_corr
from mimic.shards.covis import COVIS_SUFFIXES, DIRECTIONS, share_columns
from mimic.shards.tables import (
    Row,
    completed,
    from_parquet,
    metadata_of,
    table_of,
    to_parquet,
    with_metadata,
)
from mimic.shards.tar import BLOCK, Member, TarWriter, header
from mimic.storage import MissingError, Storage
from mimic.types import Part, WorkUnit
from schemas import PART_EDGES, PART_FRAMES, PartFile

_REMEDY = "run the same command again: this unit will be mined anew once its marker is gone"


@dataclass(frozen=True, slots=True)
class UnitSource:
    """What a unit was mined from, as every sample says it.

    ``fingerprint`` and ``size_bytes`` are those of the item; samples do not repeat them. None where
    a part or shards of an earlier version of mimic did not say.
    """

    unit: str
    kind: str
    dataset: str | None
    item: str
    scene: str
    fingerprint: str | None = None
    size_bytes: int | None = None

    @classmethod
    def of(cls, unit: WorkUnit) -> UnitSource:
        """The source of a work unit."""
        item = unit.item
        return cls(
            unit.unit_id,
            item.kind,
            item.dataset,
            item.name,
            item.scene,
            item.fingerprint,
            item.size_bytes,
        )


def write_part(part: Part, storage: Storage, prefix: str) -> PartFile:
    """Write a unit's part to ``prefix/<unit_id>.tar`` and say what was written.

    The tar is written on local disk first and then committed as a whole. A pure function of
    ``part``: the same part gives the same bytes.
    """
    name = f"{prefix.rstrip('/')}/{part.unit.unit_id}.tar" if prefix else f"{part.unit.unit_id}.tar"
    with storage.staged(name) as path, path.open("xb") as file:
        tar = TarWriter(file)
        contents = _contents(part)
        places = {
            file: _place(tar.add(file, data), data) for file, data in sorted(contents.items())
        }
        frames_bytes = to_parquet(_frames_table(part, places))
        edges_bytes = to_parquet(_edges_table(part, places))
        frames = tar.add("frames.parquet", frames_bytes)
        edges = tar.add("edges.parquet", edges_bytes)
        tar.close()
    return PartFile(
        name=name,
        size=tar.size,
        sha256=tar.sha256,
        frames_table=(frames.offset, frames.size),
        edges_table=(edges.offset, edges.size),
        tables_sha256=hashlib.sha256(_span_of_tables(frames_bytes, edges_bytes)).hexdigest(),
    )


def corr_options(edges: pa.Table) -> tuple[int, bool] | None:
    """``patch_size`` and ``outside_votes`` of a part's correspondences; None if it has none."""
    values = metadata_of(edges.schema, "corr")
    return None if values is None else (values["patch_size"], values["outside_votes"])


def _span_of_tables(frames: bytes, edges: bytes) -> bytes:
    """The bytes of a part from the start of its first table to the end of its second."""
    padding = bytes(-len(frames) % BLOCK)
    return frames + padding + header("edges.parquet", len(edges)) + edges


def read_part_tables(storage: Storage, part: PartFile) -> tuple[pa.Table, pa.Table]:
    """The frames and edges of a part (PART_FRAMES, PART_EDGES), with one ranged read.

    Raises:
        DamagedError: the part is gone, cut short, or its tables are damaged; the message names it.
    """
    where = storage.join(part.name)
    (frames_at, frames_size), (edges_at, edges_size) = part.frames_table, part.edges_table
    end = edges_at + edges_size
    try:
        data = storage.read_range(part.name, frames_at, end - frames_at)
    except MissingError as error:
        raise DamagedError(f"{where}: the part is missing; {_REMEDY}") from error
    if len(data) < end - frames_at:
        raise DamagedError(f"{where}: the part is cut short; {_REMEDY}")
    if part.tables_sha256 and hashlib.sha256(data).hexdigest() != part.tables_sha256:
        raise DamagedError(f"{where}: its tables are damaged; {_REMEDY}")
    frames = from_parquet(data[:frames_size], where)
    edges = from_parquet(data[edges_at - frames_at :], where)
    return completed(frames, PART_FRAMES), completed(edges, PART_EDGES)


def source_of_part(frames: pa.Table) -> UnitSource:
    """What the unit of a frames table was mined from."""
    return UnitSource(**metadata_of(frames.schema, "unit"))


def check_piece(data: bytes, size: int, crc32: int | None, where: str) -> bytes:
    """``data`` if it is what the tables say (DamagedError otherwise)."""
    if len(data) != size or (crc32 is not None and zlib.crc32(data) != crc32):
        raise DamagedError(
            f"{where}: a stored picture, depth, correspondence or label map is damaged; {_REMEDY}"
        )
    return data


def read_jpeg(storage: Storage, part: PartFile, frame: Row) -> bytes:
    """The stored picture of a row of the part's frames table, checked (DamagedError)."""
    offset, size = frame["jpeg_offset"], frame["jpeg_size"]
    if offset is None:
        raise ValueError(f"frame {frame['frame_id']} was measured but not stored")
    data = storage.read_range(part.name, offset, size)
    return check_piece(data, size, frame["jpeg_crc32"], storage.join(part.name))


def _contents(part: Part) -> dict[str, bytes]:
    """File name to bytes of all that is stored beside the tables."""
    contents = {_picture_name(frame_id): data for frame_id, data in part.jpegs.items()}
    contents |= {_depth_name(frame_id): data for frame_id, data in part.depths.items()}
    if part.corrs is not None:
        for frames, corr in part.corrs.pairs.items():
            contents[_corr_name(*frames)] = encode_corr(corr)
    for frames, maps in part.covis.items():
        contents |= dict(zip(_covis_names(*frames), maps, strict=True))
    return contents


def _picture_name(frame_id: str) -> str:
    return f"{frame_id}.jpg"


def _depth_name(frame_id: str) -> str:
    return f"{frame_id}.depth.png"


def _corr_name(frame_1: str, frame_2: str) -> str:
    return f"{frame_1}.{frame_2}.npy"


def _covis_names(frame_1: str, frame_2: str) -> tuple[str, ...]:
    return tuple(f"{frame_1}.{frame_2}.{suffix}" for suffix in COVIS_SUFFIXES)


def _frames_table(part: Part, places: dict[str, _Place]) -> pa.Table:
    rows = [
        {
            **row,
            **_columns("jpeg", places.get(_picture_name(row["frame_id"]))),
            **_columns("depth", places.get(_depth_name(row["frame_id"]))),
        }
        for row in part.frames
    ]
    without_row = part.jpegs.keys() - {row["frame_id"] for row in rows}
    if without_row:
        raise ValueError(f"pictures without a row in the frames table: {sorted(without_row)}")
    without_picture = part.depths.keys() - part.jpegs.keys()
    if without_picture:
        raise ValueError(f"depth without a stored picture: {sorted(without_picture)}")
    return with_metadata(table_of(rows, PART_FRAMES), {"unit": asdict(UnitSource.of(part.unit))})


def _edges_table(part: Part, places: dict[str, _Place]) -> pa.Table:
    without_row = part.covis.keys() - {_frames_of(row) for row in part.edges}
    if without_row:
        raise ValueError(f"label maps without a row in the edges table: {sorted(without_row)}")
    table = table_of([_edge_row(part, row, places) for row in part.edges], PART_EDGES)
    if part.corrs is None:
        return table
    options = {name: getattr(part.corrs, name) for name in ("patch_size", "outside_votes")}
    return with_metadata(table, {"corr": options})


def _edge_row(part: Part, row: Row, places: dict[str, _Place]) -> Row:
    frames = _frames_of(row)
    maps = zip(DIRECTIONS, _covis_names(*frames), strict=True)
    return {
        **row,
        **share_columns(part.covis.get(frames)),
        **_columns("corr", places.get(_corr_name(*frames))),
        **{
            column: value
            for direction, name in maps
            for column, value in _columns(f"covis_{direction}", places.get(name)).items()
        },
    }


def _frames_of(edge: Row) -> tuple[str, str]:
    return edge["frame_1"], edge["frame_2"]


_Place = tuple[int, int, int]


def _place(member: Member, data: bytes) -> _Place:
    return member.offset, member.size, zlib.crc32(data)


def _columns(prefix: str, place: _Place | None) -> dict[str, int | None]:
    names = (f"{prefix}_offset", f"{prefix}_size", f"{prefix}_crc32")
    return dict(zip(names, place or (None, None, None), strict=True))
