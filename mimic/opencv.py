"""The only module that imports OpenCV: thin functions in this project's conventions.

Images are RGB (or grey) uint8, sizes (width, height), pixels continuous: OpenCV puts the centre of
the first pixel at (0, 0), we put it at (0.5, 0.5), and the half pixel is added and taken off here.
Every function is deterministic and runs on the calling thread.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mimic.types import Matrix, UInt8Image

cv2.setNumThreads(1)
cv2.ocl.setUseOpenCL(False)
# glibc hands large blocks back to the kernel when they are freed, until it has seen one this large
# freed (its limit is 32 MB): the page faults were a third of a detection. Never touched, so free.
np.empty(31 << 20, np.uint8)

VERSION: str = cv2.__version__

_HALF_PIXEL = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
_HALF_PIXEL_OFF = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
# Half a pixel to continuous pixels, less the quarter by which OpenCV's SIFT misplaces all keypoints
# when it doubles the picture (its enable_precise_upscale would change the descriptors too).
_SIFT_TO_CONTINUOUS = np.float32(0.5 - 0.25)
_ESTIMATORS = {"ransac": cv2.RANSAC, "magsac": cv2.USAC_MAGSAC}


class Keypoints(NamedTuple):
    """SIFT keypoints.

    ``xy`` (N, 2) continuous pixels, ``size`` (N,) diameters in pixels, ``angle_deg`` (N,), all
    float32, and ``descriptors`` (N, 128) float32 integers 0..255.
    """

    xy: NDArray[np.float32]
    size: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def decode_image(data: bytes) -> UInt8Image:
    """Decode JPEG, PNG, WebP, TIFF, ... to RGB, turned upright by its EXIF orientation.

    Raises:
        ValueError: not an image that can be read, or a JPEG that ends early.
    """
    if _jpeg_ends_early(data):
        raise ValueError("the JPEG ends early (truncated file)")
    image = _decode(data, cv2.IMREAD_COLOR_RGB)
    return np.ascontiguousarray(image)


def decode_png(data: bytes) -> NDArray[Any]:
    """Decode a PNG as it is: uint8 or uint16, grey (h, w) or colour (h, w, 3 or 4) in RGB order.

    Raises:
        ValueError: not an image that can be read.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        image = cv2.cvtColor(image, code)
    return image


def encode_jpeg(rgb: UInt8Image, quality: int) -> bytes:
    """Encode RGB (or grey) as baseline JPEG; the same bytes for the same pixels and version."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if rgb.ndim == 3 else rgb
    return _encode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(array: NDArray[Any]) -> bytes:
    """Encode uint8 or uint16, grey (h, w) or RGB (h, w, 3), without loss."""
    bgr = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if array.ndim == 3 else array
    return _encode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def resize(
    image: UInt8Image, size: tuple[int, int], method: Literal["auto", "linear"] = "auto"
) -> UInt8Image:
    """Resize to (width, height).

    ``auto`` averages areas when shrinking and interpolates linearly when growing; ``linear`` is
    OpenCV's default at any size (it aliases when shrinking, as MIMIC's code does).
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinking = size[0] <= width and size[1] <= height
    area = method == "auto" and shrinking
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def resize_depth(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (h, w) depth to (width, height): the nearest pixel's, never a mixture of two."""
    if depth.shape[::-1] == size:
        return depth
    resized = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.float32)


def to_gray(rgb: UInt8Image) -> UInt8Image:
    """RGB to grey, (h, w) uint8, by OpenCV's luma weights."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def laplacian_variance(gray: UInt8Image) -> float:
    """Variance of the Laplacian: low for a blurred or empty picture."""
    laplacian = cv2.Laplacian(gray, cv2.CV_16S).astype(np.int64)
    count = laplacian.size
    total, squares = int(laplacian.sum()), int((laplacian * laplacian).sum())
    return (squares - total * total / count) / count


def sift(gray: UInt8Image, max_keypoints: int = 0, contrast_threshold: float = 0.04) -> Keypoints:
    """SIFT with OpenCV's other defaults (3 octave layers, edge threshold 10, sigma 1.6).

    ``max_keypoints`` keeps the strongest responses (0: all), ties by position, so that the choice
    is unique; the detector's order stays. Source: Lowe, IJCV 2004.
    """
    detector = cv2.SIFT.create(contrastThreshold=contrast_threshold)
    keypoints, found = detector.detectAndCompute(gray, None)
    if not keypoints:
        none = np.zeros(0, np.float32)
        return Keypoints(np.zeros((0, 2), np.float32), none, none, np.zeros((0, 128), np.float32))
    descriptors = np.asarray(found, dtype=np.float32)
    xy = np.asarray(cv2.KeyPoint.convert(keypoints), dtype=np.float32)
    rest = np.array([(k.size, k.angle, k.response) for k in keypoints], dtype=np.float32)
    size, angle, response = rest.T
    keep = _strongest(response, (angle, size, xy[:, 0], xy[:, 1]), max_keypoints)
    return Keypoints(
        xy[keep] + _SIFT_TO_CONTINUOUS, size[keep], angle[keep], np.asarray(descriptors)[keep]
    )


def find_homography(
    xy_1: NDArray[np.float64],
    xy_2: NDArray[np.float64],
    method: Literal["ransac", "magsac"],
    threshold_px: float,
    iterations: int,
    confidence: float,
) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """Homography from view 1 to view 2 and its inliers (M,); None where there is none.

    ``threshold_px`` is the reprojection error in view 2. ``ransac`` is ``cv2.RANSAC`` with a final
    refinement on the inliers, ``magsac`` is ``cv2.USAC_MAGSAC`` (Barath et al., CVPR 2020).
    """
    if len(xy_1) < 4:
        return None
    try:
        matrix, mask = cv2.findHomography(
            xy_1 - 0.5,
            xy_2 - 0.5,
            _ESTIMATORS[method],
            threshold_px,
            maxIters=iterations,
            confidence=confidence,
        )
    except cv2.error:  # degenerate samples are refused by an exception in some versions
        return None
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    return _HALF_PIXEL @ matrix @ _HALF_PIXEL_OFF, mask.ravel().astype(bool)


def find_fundamental(
    xy_1: NDArray[np.float64],
    xy_2: NDArray[np.float64],
    threshold_px: float,
    iterations: int,
    confidence: float,
) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """Fundamental matrix (x_2^T F x_1 = 0) by MAGSAC++ and its inliers (M,); None where none."""
    if len(xy_1) < 8:
        return None
    try:
        matrix, mask = cv2.findFundamentalMat(
            xy_1 - 0.5, xy_2 - 0.5, cv2.USAC_MAGSAC, threshold_px, confidence, iterations
        )
    except cv2.error:  # as above
        return None
    if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    return _HALF_PIXEL_OFF.T @ matrix @ _HALF_PIXEL_OFF, mask.ravel().astype(bool)


def phash(gray: UInt8Image) -> str:
    """64-bit perceptual hash, 16 hex digits: signs of the low DCT frequencies against their median.

    The picture is averaged to 32 x 32; of its DCT the 8 x 8 lowest frequencies are kept.
    """
    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    low = np.round((_DCT_8X32 @ small @ _DCT_8X32.T).ravel(), 6)
    bits = low > np.median(low[1:])
    return np.packbits(bits).tobytes().hex()


def _dct_rows(rows: int, length: int) -> Matrix:
    frequency, place = np.arange(rows)[:, None], np.arange(length)[None, :]
    return np.asarray(np.cos(np.pi * frequency * (2 * place + 1) / (2 * length)))


_DCT_8X32 = _dct_rows(8, 32)


def _strongest(
    response: NDArray[np.float32], ties: tuple[NDArray[np.float32], ...], limit: int
) -> NDArray[np.intp]:
    """Rows of the ``limit`` largest responses in their original order; the last tie key rules."""
    if limit == 0 or len(response) <= limit:
        return np.arange(len(response))
    return np.sort(np.lexsort((*ties, -response))[:limit])


def _decode(data: bytes, flags: int) -> NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise ValueError(f"not an image that can be read ({error.err})") from error
    if image is None:
        raise ValueError("not an image that can be read")
    return np.asarray(image)


def _encode(extension: str, image: NDArray[Any], options: list[int]) -> bytes:
    ok, data = cv2.imencode(extension, image, options)
    if not ok:
        raise ValueError(f"OpenCV cannot encode {image.shape} {image.dtype} as {extension}")
    return bytes(data.tobytes())


def _jpeg_ends_early(data: bytes) -> bool:
    """Whether this is a JPEG without an end marker after its first scan.

    The decoder would fill what is missing with grey and say nothing. Headers are walked first,
    because an embedded thumbnail has an end marker of its own.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position) < 0
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True
