"""Corner error of the recovered homography on real pairs with a known one, as a markdown table.

    python benchmarks/homography_truth.py [--data ../shared/data] [--into docs/results.md]

The error is the mean distance between the corners of view 1 mapped by the recovered and by the true
homography, in pixels of the picture scaled to a short side of 224.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic import filters, opencv, views
from mimic.config import Config, load_config
from mimic.geometry import homography as homographies
from mimic.geometry import overlap, patches
from mimic.matching.measure import measure
from mimic.types import EdgeMeasures, Frame, Matrix, Verdict, View

CONFIGS = {
    "mimic": load_config("mimic"),
    "default": load_config(),
    "default, matched at 480": load_config(assignments=("match.short_side=480",)),
}


@dataclass(frozen=True)
class Result:
    """One pair under one config; errors are None where no homography was found."""

    measures: EdgeMeasures
    verdict: Verdict
    corner_error_px: float | None
    true_area: float


def true_pairs(folder: Path) -> dict[str, tuple[Path, Path, Matrix]]:
    """Name -> (picture 1, picture 2, true homography from 1 to 2 in original pixels)."""
    opencv_folder, homogr = folder / "homography" / "opencv", folder / "homography" / "homogr"
    text = (opencv_folder / "H1to3p.xml").read_text().split("<data>")[1].split("<")[0]
    graf = np.array(text.split(), dtype=np.float64).reshape(3, 3)
    pairs = {"graf1-3": (opencv_folder / "graf1.png", opencv_folder / "graf3.png", graf)}
    for model in sorted(homogr.glob("*_model.txt")):
        name = model.name.removesuffix("_model.txt")
        numbers = re.findall(r"[-+.\deE]+", model.read_text())
        b_to_a = np.array(numbers, dtype=np.float64).reshape(3, 3)
        first, second = (next(homogr.glob(f"{name}{side}.*")) for side in "AB")
        pairs[name] = (first, second, np.asarray(np.linalg.inv(b_to_a)))
    return pairs


def judged(first: Path, second: Path, truth: Matrix, config: Config) -> Result:
    """Measure a pair and compare with the truth."""
    view_1, view_2 = (_view(path, slot, config) for slot, path in enumerate((first, second)))
    measures = measure(view_1, view_2, None, config)
    to_stored = homographies.in_other_pixels(
        truth, view_1.original_to_stored, view_2.original_to_stored
    )
    landings = patches.landings(to_stored, view_1.size, view_2.size)
    assert landings is not None
    error = None
    if measures.homography is not None:
        corners = homographies.corners(view_1.size)
        want = homographies.oriented(to_stored, view_1.size)
        assert want is not None
        miss = homographies.apply(measures.homography, corners) - homographies.apply(want, corners)
        error = float(np.linalg.norm(miss, axis=1).mean()) * 224 / min(view_2.size)
    return Result(
        measures=measures,
        verdict=filters.judge(view_1, view_2, measures, config),
        corner_error_px=error,
        true_area=min(overlap.area(landing) for landing in landings),
    )


def _view(path: Path, slot: int, config: Config) -> View:
    rgb = opencv.decode_image(path.read_bytes())
    frame = Frame(path.name, slot, path.name, None, 0, rgb)
    return views.with_features(views.stored_view(frame, config), config)


def table(folder: Path) -> Iterator[str]:
    """The lines of the table."""
    yield "| pair | true area | config | matches | inliers | corner error, px | area | verdict |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, (first, second, truth) in true_pairs(folder).items():
        for label, config in CONFIGS.items():
            result = judged(first, second, truth, config)
            measures, error = result.measures, result.corner_error_px
            area = measures.overlap.area
            cells = [
                f"{result.true_area:.2f}",
                label,
                str(measures.matches),
                "-" if measures.inliers is None else str(measures.inliers),
                "-" if error is None or not np.isfinite(error) else f"{error:.2f}",
                "-" if area is None else f"{area.smaller:.2f}",
                result.verdict.reason,
            ]
            yield f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    from document import print_tables  # beside this file: not there when a test loads it by path

    print_tables(__doc__, "homography_truth", table)
