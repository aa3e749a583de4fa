"""Rows of the graph: what they say of a camera is true of the stored picture."""

from __future__ import annotations

import numpy as np
import pytest

from mimic.config import load_config
from mimic.graph import frame_row
from mimic.types import Frame
from mimic.views import stored_view

POINT = np.array([0.7, -0.4, 3.0, 1.0])  # in the camera: right, up, ahead


def frame(size: tuple[int, int], intrinsics: bool = True) -> Frame:
    width, height = size
    matrix = np.array([[500.0, 0, width / 2 + 7], [0, 510, height / 2 - 3], [0, 0, 1]])
    return Frame(
        frame_id="f",
        slot=3,
        label="3",
        pts_s=None,
        shot=0,
        rgb=np.zeros((height, width, 3), np.uint8),
        depth_m=np.ones((height, width), np.float32) if intrinsics else None,
        intrinsics=matrix if intrinsics else None,
        cam_to_world=np.eye(4) if intrinsics else None,
    )


@pytest.mark.parametrize(
    "image", [{"size": 128}, {"size": 128, "crop_bottom": 0.2}, {"size": 64, "resize": "squash"}]
)
def test_intrinsics_project_to_stored_pixels(image: dict[str, object]) -> None:
    original = frame((640, 480))
    row = frame_row("u", stored_view(original, load_config(overrides={"image": image})))
    assert original.intrinsics is not None
    in_original = original.intrinsics @ POINT[:3]
    to_stored = np.array(row["original_to_stored"]).reshape(3, 3)
    expected = to_stored @ (in_original / in_original[2])
    projected = np.array(row["intrinsics"]).reshape(3, 3) @ POINT[:3]
    np.testing.assert_allclose(projected / projected[2], expected, rtol=1e-12)
    assert row["width"] < 640
    assert 0 < expected[0] < row["width"]
    assert 0 < expected[1] < row["height"]


def test_a_picture_stored_as_it_was_rendered_keeps_its_camera_to_the_bit() -> None:
    original = frame((256, 256))
    row = frame_row("u", stored_view(original, load_config()))
    assert original.intrinsics is not None
    assert row["intrinsics"] == original.intrinsics.ravel().tolist()
    assert row["cam_to_world"] == np.eye(4).ravel().tolist()


def test_a_frame_says_how_much_of_it_has_depth() -> None:
    assert frame_row("u", stored_view(frame((64, 64)), load_config()))["valid_share"] == 1.0
    row = frame_row("u", stored_view(frame((64, 64), intrinsics=False), load_config()))
    assert row["valid_share"] is row["intrinsics"] is row["cam_to_world"] is None
