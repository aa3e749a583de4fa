"""Bytes to pixels: the same as Pillow's, and nothing half-read."""

from __future__ import annotations

import io

import factory
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from mimic import opencv
from train.data.decode import FAST, decode_any, decode_depth, decode_labels, decode_picture
from train.data.pairs import decode_corr


@pytest.fixture(params=["torchvision", "pillow"], autouse=True)
def decoder(request, monkeypatch) -> str:
    if request.param == "pillow":
        monkeypatch.setattr("train.data.decode.FAST", False)
    elif not FAST:
        pytest.skip("torchvision has no decoders")
    return request.param


@pytest.mark.parametrize("decode", [decode_picture, decode_any])
def test_pictures_have_pillows_pixels(decode) -> None:
    for seed in range(4):
        expected = np.asarray(Image.open(io.BytesIO(factory.jpeg(seed))).convert("RGB"))
        found = decode(bytearray(factory.jpeg(seed)))
        assert found.dtype == torch.uint8
        assert np.abs(found.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 2


def test_grey_pictures_become_rgb_and_png_is_exact() -> None:
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    sink = io.BytesIO()
    Image.fromarray(grey).save(sink, "JPEG")
    assert decode_picture(bytearray(sink.getvalue())).shape == (3, 8, 12)
    found = decode_any(bytearray(opencv.encode_png(grey)))
    assert np.array_equal(found.numpy(), np.broadcast_to(grey, (3, 8, 12)))


def test_labels_are_read_and_nothing_else_is() -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (20, 30))
    assert np.array_equal(decode_labels(bytearray(opencv.encode_png(labels))).numpy(), labels)
    labels[3, 4] = 7
    with pytest.raises(ValueError, match="values that are no labels"):
        decode_labels(bytearray(opencv.encode_png(labels)))


def test_depth_is_metres_of_stored_millimetres() -> None:
    millimetres = np.array([[0, 1, 999], [1000, 32768, 65535]], np.uint16)
    found = decode_depth(bytearray(opencv.encode_png(millimetres)))
    assert found.dtype == torch.float32
    assert np.array_equal(np.round(found.numpy() * 1000), millimetres)


@pytest.mark.parametrize("decode", [decode_picture, decode_any, decode_labels, decode_depth])
@pytest.mark.parametrize(
    "data", [b"", b"no picture", factory.jpeg(0)[:900], factory.label_png(0)[:90]]
)
def test_what_is_not_whole_is_refused(decode, data: bytes) -> None:
    with pytest.raises(ValueError, match="not a whole"):
        decode(bytearray(data))


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytearray:
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, version)
    return bytearray(sink.getvalue())


@pytest.mark.parametrize("dtype", ["<i4", "<i8", ">i4", "<u2"])
@pytest.mark.parametrize("count", [0, 1, 196])
def test_correspondences_of_any_integers_are_read(dtype: str, count: int) -> None:
    stored = np.arange(2 * count).reshape(count, 2).astype(dtype)
    found = decode_corr(npy(stored))
    assert found.dtype == np.int64
    assert np.array_equal(found, stored)


@pytest.mark.parametrize(
    "data",
    [
        npy(np.zeros((4, 3), np.int32)),
        npy(np.zeros((4, 2), np.float32)),
        npy(np.zeros(4, np.int32)),
        npy(np.zeros((4, 2), np.int32))[:-1],
        npy(np.zeros((4, 2), np.int32))[:40],
        npy(np.asfortranarray(np.zeros((4, 2), np.int32))),
        npy(np.zeros((4, 2), np.int32), (2, 0)),
        bytearray(b"no array"),
        bytearray(),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(data: bytearray) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_corr(data)
