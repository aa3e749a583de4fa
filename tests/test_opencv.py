from __future__ import annotations

import io
import os
import platform
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mimic import opencv


def picture(width=64, height=48, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


class TestDecode:
    def test_jpeg_and_png_are_rgb(self):
        rgb = picture()
        assert (
            np.abs(opencv.decode_image(opencv.encode_jpeg(rgb, 100)).astype(int) - rgb).mean() < 3
        )
        assert np.array_equal(opencv.decode_image(opencv.encode_png(rgb)), rgb)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_honoured(self, orientation):
        """The file holds the picture turned or mirrored; the tag says how to undo it."""
        upright = np.zeros((48, 64, 3), np.uint8)
        upright[:16, :16] = 255  # a white patch at the top left tells all eight apart
        upright[-8:, :] = 90
        undo = {
            1: lambda a: a,
            2: lambda a: a[:, ::-1],
            3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1],
            5: lambda a: a.transpose(1, 0, 2),
            6: lambda a: np.rot90(a, 1),
            7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
            8: lambda a: np.rot90(a, -1),
        }
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
        stored.save(file, "JPEG", quality=95, exif=exif)
        decoded = opencv.decode_image(file.getvalue())
        assert decoded.shape == upright.shape
        assert np.abs(decoded.astype(int) - upright).mean() < 3

    def test_grey_and_16_bit_and_alpha_become_rgb(self):
        for array in (picture()[..., 0], picture()[..., 0].astype(np.uint16) * 257):
            decoded = opencv.decode_image(opencv.encode_png(array))
            assert decoded.shape == (48, 64, 3)
            assert decoded.dtype == np.uint8
        file = io.BytesIO()
        Image.fromarray(np.dstack([picture(), np.full((48, 64), 9, np.uint8)])).save(file, "PNG")
        assert np.array_equal(opencv.decode_image(file.getvalue()), picture())

    @pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
    def test_not_an_image(self, data):
        with pytest.raises(ValueError, match=r"not an image|ends early"):
            opencv.decode_image(data)

    def test_a_truncated_jpeg_is_refused_even_with_a_thumbnail_inside(self):
        whole = opencv.encode_jpeg(picture(400, 300), 95)
        thumbnail = opencv.encode_jpeg(picture(16, 16), 50)  # has an end marker of its own
        block = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
        data = whole[:2] + block + whole[2:]
        assert opencv.decode_image(data).shape == (300, 400, 3)
        assert opencv.decode_image(data + b"trailing bytes").shape == (300, 400, 3)
        with pytest.raises(ValueError, match="ends early"):
            opencv.decode_image(data[: len(data) // 2])

    def test_a_progressive_jpeg_is_read(self):
        file = io.BytesIO()
        Image.fromarray(picture(300, 200)).save(file, "JPEG", progressive=True)
        assert opencv.decode_image(file.getvalue()).shape == (200, 300, 3)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
    def test_png_is_lossless(self, dtype, shape):
        array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
        decoded = opencv.decode_png(opencv.encode_png(array))
        assert decoded.dtype == dtype
        assert np.array_equal(decoded, array)


def test_jpeg_quality_matters_and_bytes_repeat():
    rgb = picture(200, 150)
    assert opencv.encode_jpeg(rgb, 95) == opencv.encode_jpeg(rgb, 95)
    assert len(opencv.encode_jpeg(rgb, 50)) < len(opencv.encode_jpeg(rgb, 95))


class TestResize:
    def test_shrinking_averages_growing_interpolates(self):
        rgb = picture()
        assert np.array_equal(
            opencv.resize(rgb, (32, 24)), cv2.resize(rgb, (32, 24), interpolation=cv2.INTER_AREA)
        )
        assert np.array_equal(opencv.resize(rgb, (100, 90)), cv2.resize(rgb, (100, 90)))

    def test_linear_on_demand(self):
        rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        assert np.array_equal(opencv.resize(rgb, (20, 20), "linear"), cv2.resize(rgb, (20, 20)))
        assert not np.array_equal(opencv.resize(rgb, (20, 20)), cv2.resize(rgb, (20, 20)))


def test_sift_is_repeatable_and_blind_to_threads():
    gray = opencv.to_gray(picture(300, 200))
    first = opencv.sift(gray)
    cv2.setNumThreads(2)
    try:
        again = opencv.sift(gray)
    finally:
        cv2.setNumThreads(1)
    for one, other in zip(first, again, strict=True):
        assert one.tobytes() == other.tobytes()


def test_importing_sets_one_thread():
    code = "import mimic.opencv, cv2; print(cv2.getNumThreads(), cv2.ocl.useOpenCL())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "False"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_memory_of_pictures_is_kept_for_the_next():
    script = """if True:
        import resource
        import numpy as np
        import mimic.opencv
        def page_faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            np.ones(16 << 20, np.uint8)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        print(page_faults(), sum(page_faults() for _ in range(9)))
    """
    unset = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", script], env=unset, capture_output=True, text=True, check=True
    )
    first, later = map(int, done.stdout.split())
    assert later < first
