"""The peer's procedure, written from its description: the reference that preset mimic is held to.

Squashed 224 x 224 frames, SIFT defaults, one-way brute-force kNN with ratio 0.7, at least 11
matches, RANSAC at 5 px; then 100 random integer pixels a patch, truncated to pixels, "out" as a
candidate of the vote, targets given away first come, first served; the smaller of both directions.
"""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np

SIDE, PATCH, DRAWS = 224, 16, 100
OUT = -1


def homography(rgb_1, rgb_2):
    """H between the squashed frames in OpenCV's pixels, or the reason that there is none."""
    found = []
    for rgb in (rgb_1, rgb_2):
        small = cv2.resize(rgb, (SIDE, SIDE))
        found.append(
            cv2.SIFT_create().detectAndCompute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), None)
        )
    (points_1, words_1), (points_2, words_2) = found
    if words_1 is None or words_2 is None:
        return "few_matches"
    found = [pair for pair in cv2.BFMatcher().knnMatch(words_1, words_2, k=2) if len(pair) == 2]
    good = [best for best, second in found if best.distance < 0.7 * second.distance]
    if len(good) <= 10:
        return "few_matches"
    source = np.float32([points_1[m.queryIdx].pt for m in good]).reshape(-1, 1, 2)
    target = np.float32([points_2[m.trainIdx].pt for m in good]).reshape(-1, 1, 2)
    matrix, _ = cv2.findHomography(source, target, cv2.RANSAC, 5.0)
    return "no_homography" if matrix is None else matrix


def overlap(matrix, seed):
    """Patch overlap (0 to 1) by the random vote."""
    rng = np.random.default_rng(seed)
    return (
        min(len(_direction(m, rng)) for m in (matrix, np.linalg.inv(matrix))) / (SIDE // PATCH) ** 2
    )


def _direction(matrix, rng):
    side = SIDE // PATCH
    taken = {}
    for patch in range(side * side):
        corner = np.array([patch % side, patch // side]) * PATCH
        drawn = corner + rng.integers(0, PATCH, (DRAWS, 2))
        mapped = cv2.perspectiveTransform(drawn[:, None].astype(np.float32), matrix)[:, 0]
        winner = Counter(_target(x, y) for x, y in mapped).most_common(1)[0][0]
        if winner != OUT and winner not in taken.values():
            taken[patch] = winner
    return taken


def _target(x, y):
    if not (np.isfinite(x) and np.isfinite(y)):
        return OUT
    column, row = int(x), int(y)
    if 0 <= column < SIDE and 0 <= row < SIDE:
        return row // PATCH * (SIDE // PATCH) + column // PATCH
    return OUT
