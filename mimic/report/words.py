"""What the words of a verdict mean, for people: one table for rejections and skipped files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A reason in plain words.

    A short ``title``, ``why`` in a sentence, and what the ``value`` stored with it measures (""
    where there is none); ``digits`` are the decimals of it worth showing.
    """

    title: str
    why: str
    value: str = ""
    digits: int = 2


REASONS: dict[str, Word] = {
    "kept": Word(
        "kept",
        "Passed every question; it may become a sample.",
        "overlap",
    ),
    "near_duplicate": Word(
        "near-duplicate frames",
        "The two frames look the same: there is nothing to learn from the second.",
        "mean grey difference of the thumbnails, 0 to 255",
        1,
    ),
    "static": Word(
        "static camera",
        "The camera did not move; only things in front of it did.",
        "share of the picture that did not change",
    ),
    "moving_foreground": Word(
        "only the foreground moved",
        "The camera stood still; something large before it moved and passed for the scene.",
        "share of the matches that fit no geometry",
    ),
    "unmoved": Word(
        "camera did not move",
        "What could be matched lies where it was: only other things moved, or the light changed.",
        "median displacement of the verified matches, in pixels at 224 px short side",
        1,
    ),
    "cut": Word(
        "across a cut",
        "There is a cut between the two frames: they show different shots.",
        "cuts between the frames",
        0,
    ),
    "dark": Word(
        "too dark",
        "A frame is nearly black.",
        "luminance of the brightest twentieth of the darker frame, 0 to 255",
        1,
    ),
    "hole": Word(
        "a hole in the scan",
        "A rendered view looks through a hole of the scene: much of it shows nothing.",
        "share of the emptier view that has a depth",
    ),
    "blank": Word(
        "blank view",
        "A rendered view shows hardly any texture: a bare wall, or a blur.",
        "variance of the Laplacian of the blanker view",
        0,
    ),
    "apart": Word(
        "views apart",
        "By depth and pose, the two views share too little of the scene to be worth matching.",
        "co-visible share",
    ),
    "few_keypoints": Word(
        "too few keypoints",
        "A frame has hardly any texture to hold on to (sky, wall, blur).",
        "keypoints of the poorer frame",
        0,
    ),
    "few_coarse_matches": Word(
        "too few coarse matches",
        "Hardly any of the largest keypoints look alike, so that the rest were not compared.",
        "putative matches among the largest keypoints",
        0,
    ),
    "few_matches": Word(
        "too few matches",
        "Too few keypoints look alike in both frames: the views are too far apart or too blurred.",
        "putative matches",
        0,
    ),
    "no_homography": Word(
        "no homography",
        "No plane-to-plane mapping explains enough of the matches.",
        "how far the matches lie from the best one found (median, stored pixels; 0: none found)",
        0,
    ),
    "insane_homography": Word(
        "impossible homography",
        "The mapping found would fold, mirror or crush the image: it is a coincidence of matches.",
        "sanity of the mapping, 0 worst to 1",
    ),
    "few_inliers": Word(
        "too few inliers",
        "Matches exist, but few of them agree on one mapping.",
        "matches that agree",
        0,
    ),
    "low_inlier_ratio": Word(
        "low inlier ratio",
        "Most matches disagree with the geometry found, so it cannot be trusted.",
        "share of the matches that agree with the better model",
    ),
    "no_epipolar": Word(
        "no epipolar geometry",
        "The matches do not fit any motion of one camera through one rigid scene.",
    ),
    "zoom": Word(
        "pure zoom",
        "One view is a magnification of the other: it teaches little about depth.",
        "scale ratio between the views",
    ),
    "overlap_low": Word(
        "overlap too low",
        "The views share too little of the scene.",
        "overlap",
    ),
    "overlap_high": Word(
        "overlap too high",
        "The views are almost the same: too easy a task.",
        "overlap",
    ),
    "not_smallest": Word(
        "not the smallest of its group",
        "In range, but its photo group has a pair with a smaller overlap, which was taken.",
        "overlap",
    ),
    "not_chosen": Word(
        "another interval was better",
        "In range, but its first frame already has a better partner.",
        "overlap",
    ),
}
"""Why a measured pair was not kept; ``kept`` itself is there for completeness."""

SKIPS: dict[str, Word] = {
    "duplicate": Word("duplicate file", "The same bytes were already mined under another name."),
    "unreadable": Word("unreadable", "The file could not be opened or read."),
    "not_media": Word("not a video or picture", "The content is neither a video nor a picture."),
    "no_video_stream": Word("no video stream", "The file opens, but holds no video."),
    "undecodable": Word("undecodable", "The video or picture is damaged and cannot be decoded."),
    "vanished": Word("vanished", "The file was there at planning and gone at mining."),
    "changed": Word("changed", "The file changed between planning and mining."),
    "empty": Word("empty", "The file or group has nothing in it."),
    "too_small": Word("too small", "The picture is too small to hold a grid of patches."),
    "too_short": Word("too short", "There are fewer than two frames to pair."),
    "single": Word("a single picture", "A group of one picture has no pairs."),
    "timeout": Word("timed out", "The unit ran longer than its time limit and was stopped."),
    "memory": Word("out of memory", "The unit needed more memory than its limit."),
    "crashed": Word("crashed", "The worker died on this unit (a decoder fault, most likely)."),
    "error": Word("error", "The unit failed; its traceback is in the quarantine."),
}
"""Why something found in a source was not mined at all."""


def word_of(reason: str) -> Word:
    """The plain words of a reason; an unknown one stands for itself."""
    found = REASONS.get(reason) or SKIPS.get(reason)
    return found or Word(reason.replace("_", " "), "")
