"""What a person is told of first weights that came from a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each weight of a file, and of each of the network.

    Attributes:
        source: the file, and whose names it has.
        loaded: the network's weights that came from the file.
        reshaped: those of them that were interpolated to another grid.
        missing: the network's weights that the file lacks; they stay as they were.
        unexpected: the file's weights for which the network has no use.
        unfit: those of another shape, with both shapes; not loaded.
        notes: differences that the names and shapes do not show.
    """

    source: str
    loaded: tuple[str, ...]
    reshaped: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    unfit: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """At most a line for each question."""
        total = len(self.loaded) + len(self.missing) + len(self.unfit)
        resized = f", {', '.join(self.reshaped)} interpolated" if self.reshaped else ""
        lines = [f"{self.source}: {len(self.loaded)} of the network's {total} weights{resized}"]
        for words, names in (
            ("left as they were", self.missing),
            ("of no use here", self.unexpected),
        ):
            if names:
                lines.append(f"  {words}: {_grouped(names)}")
        if self.unfit:
            more = f" and {len(self.unfit) - 3} more" if len(self.unfit) > 3 else ""
            lines.append(
                f"  of another shape, left as they were: {'; '.join(self.unfit[:3])}{more}"
            )
        if self.notes:
            lines.append(f"  note: {'; '.join(self.notes)}")
        return "\n".join(lines)


def _grouped(names: Iterable[str]) -> str:
    """Names by their first part: ``dec_blocks (104), mask_token``; at most eight."""
    counts = Counter(name.split(".", 1)[0] for name in names)
    words = [f"{name} ({count})" if count > 1 else name for name, count in counts.items()]
    return ", ".join(words[:8]) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
