"""The values that a report shows, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field

from mimic.report.notmined import NotMined
from mimic.report.streams import Histogram, Quartiles
from mimic.types import KEPT


@dataclass(frozen=True, slots=True)
class Reason:
    """How many candidates ended with this verdict, and the quartiles of the deciding value."""

    reason: str
    count: int
    value: Quartiles | None


@dataclass(frozen=True, slots=True)
class Group:
    """The candidates of one item, or of one source (a data set name, or a kind of source)."""

    name: str
    candidates: int
    kept: int
    samples: int
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Split:
    """Samples, shards and bytes of a split. ``size_bytes`` counts tars and their indexes."""

    name: str
    samples: int
    shards: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Overlap (the measure that decides) at one stride, over all sequences.

    ``edges`` were measured at this stride, ``with_overlap`` of them far enough to have an overlap.
    """

    slots: int
    interval_s: float
    edges: int
    with_overlap: int
    overlap: Quartiles | None


@dataclass(frozen=True, slots=True)
class ItemCurve:
    """The curve of one sequence: (interval_s, median overlap), by interval."""

    item: str
    edges: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Mixing:
    """Chance that two samples among ``window`` consecutive ones share a scene.

    Measured, and as expected under a perfect shuffle; None where there are fewer than two samples.
    """

    window: int
    rate: float | None
    expected: float | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What decided: the overlap measure and the range kept, as the manifest's config says."""

    measure: str
    low: float
    high: float
    patch_size: int


@dataclass(frozen=True, slots=True)
class LabelClass:
    """The share that a class of labels has of a view: the mean over all views, and quartiles."""

    name: str
    mean: float
    quartiles: Quartiles


@dataclass(frozen=True, slots=True)
class LabelStats:
    """Of the label maps of ``samples`` samples, two a sample."""

    samples: int
    classes: tuple[LabelClass, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything a report shows.

    Histograms: ``kept`` over the samples, ``measured`` over all measured pairs, ``frame`` over the
    frames of the graph; by column, only where there are values. ``criteria`` are those of the
    samples in the bins of RUBIK, ``labels`` what their label maps say (None without any). Without a
    graph (``has_graph`` False) reasons come from the manifest, without values, and what needs the
    graph is empty.
    """

    url: str
    preset: str
    fingerprint: str
    seed: int
    versions: dict[str, str]
    selection: Selection
    splits: tuple[Split, ...]
    samples: int
    size_bytes: int
    units: int
    items: int
    scenes: int
    frames_measured: int | None
    frames_stored: int
    candidates: int
    kept: int
    reasons: tuple[Reason, ...]
    sources: tuple[Group, ...]
    item_rows: tuple[Group, ...]
    kept_histograms: dict[str, Histogram]
    measured_histograms: dict[str, Histogram]
    frame_histograms: dict[str, Histogram]
    curve: tuple[CurvePoint, ...]
    item_curves: tuple[ItemCurve, ...]
    mixing: Mixing
    near_duplicate_share: float | None
    not_mined: tuple[NotMined, ...]
    has_graph: bool
    notes: tuple[str, ...] = ()
    criteria: dict[str, Histogram] = field(default_factory=dict)
    labels: LabelStats | None = None

    @property
    def rejected(self) -> tuple[Reason, ...]:
        """The reasons other than kept, most frequent first."""
        return tuple(reason for reason in self.reasons if reason.reason != KEPT)
