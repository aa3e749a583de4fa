import numpy as np
import pytest

from mimic.report.measures import FRAMES, PAIRS, Measure
from mimic.report.streams import (
    Bins,
    Distinct,
    Quartiles,
    SceneMixing,
    Values,
    id_numbers,
    near_duplicate_share,
)

TENTHS = Measure("x", "x", "", tuple(round(index / 10, 9) for index in range(11)), "")


def test_quartiles_leave_nulls_out_and_do_not_depend_on_batches() -> None:
    values = np.array([4.0, np.nan, 1.0, 3.0, 2.0, 5.0, np.nan])
    for cut in range(len(values)):
        stream = Values()
        stream.add(values[:cut])
        stream.add(values[cut:])
        assert stream.count == 5
        assert stream.quartiles() == Quartiles(2.0, 3.0, 4.0)


def test_quartiles_of_a_long_stream_are_close_and_memory_is_bounded() -> None:
    stream = Values(exact_up_to=1000)
    values = np.random.default_rng(0).uniform(size=50_000)
    for batch in np.array_split(values, 13):
        stream.add(batch)
        assert stream._size <= 1000
    found = stream.quartiles()
    assert found is not None
    expected = np.quantile(values, (0.25, 0.5, 0.75))
    assert [found.q25, found.median, found.q75] == pytest.approx(expected, abs=0.05)


def test_thinning_keeps_every_nth_value_whatever_the_batches() -> None:
    values = np.arange(4096.0)
    found = set()
    for pieces in (1, 3, 64):
        stream = Values(exact_up_to=512)
        for batch in np.array_split(values, pieces):
            stream.add(batch)
        found.add(stream.quartiles())
    assert len(found) == 1


def test_no_values_have_no_quartiles() -> None:
    stream = Values()
    stream.add(np.array([np.nan]))
    assert stream.quartiles() is None


def test_bins_are_half_open_and_the_outer_ones_open_ended() -> None:
    bins = Bins(TENTHS)
    bins.add(np.array([0.0, 0.1, 0.75, 0.8, 1.0, 1.7, -3.0, np.nan]))
    assert bins.result().counts == (2, 1, 0, 0, 0, 0, 0, 1, 1, 2)
    assert bins.result().total == bins.count == 7


@pytest.mark.parametrize("measure", [*PAIRS, *FRAMES], ids=lambda measure: measure.column)
def test_bin_edges_rise_and_every_edge_falls_into_its_own_bin(measure: Measure) -> None:
    edges = np.array(measure.edges)
    assert (np.diff(edges) > 0).all()
    bins = Bins(measure)
    bins.add(edges[:-1])
    assert bins.result().counts == (1,) * (len(edges) - 1)


def test_distinct_counts_each_id_once() -> None:
    ids = Distinct()
    for batch in (["b", "a"], ["a", "longer"], ["b"]):
        ids.add(id_numbers(np.array(batch, np.bytes_)))
    assert len(ids.sorted()) == 3
    assert ids.holds(id_numbers(np.array(["a", "longer than all", "b"], np.bytes_))).tolist() == [
        True,
        False,
        True,
    ]
    assert not Distinct().holds(id_numbers(np.array(["a"], np.bytes_))).any()


def test_numbers_of_ids_tell_them_apart() -> None:
    texts = np.array([f"{number:020x}" for number in range(100_000)], np.bytes_)
    assert len(np.unique(id_numbers(texts))) == len(texts)
    assert (id_numbers(texts) == id_numbers(texts.astype("S64"))).all()


def _mixing(scenes: list[int], window: int, pieces: int = 1) -> SceneMixing:
    mixing = SceneMixing(window)
    for batch in np.array_split(np.array(scenes, np.int64), pieces):
        mixing.add(batch)
    return mixing


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_same_scene_rate_is_counted_per_window(pieces: int) -> None:
    # Windows [0 0 1], [1 1 1], [2 0]: 2 of 6, 6 of 6, 0 of 2 ordered pairs share a scene.
    mixing = _mixing([0, 0, 1, 1, 1, 1, 2, 0], 3, pieces)
    assert mixing.rate() == pytest.approx(8 / 14)
    # Scenes of 3, 4 and 1 samples: (3*2 + 4*3) of 8*7 ordered pairs.
    assert mixing.expected() == pytest.approx(18 / 56)


def test_sorted_scenes_are_worse_than_shuffled_ones() -> None:
    scenes = np.repeat(np.arange(20), 50)
    shuffled = np.random.default_rng(0).permutation(scenes)
    in_order = _mixing(scenes.tolist(), 50).rate()
    mixed = _mixing(shuffled.tolist(), 50)
    assert in_order == 1.0
    assert mixed.rate() == pytest.approx(mixed.expected(), abs=0.02)


def test_one_sample_has_no_same_scene_rate() -> None:
    assert _mixing([0], 4).rate() is None
    assert _mixing([0], 4).expected() is None


def test_near_duplicates_are_found_up_to_three_bits() -> None:
    far = np.array([0x0F0F0F0F0F0F0F0F, 0xFFFF0000FFFF0000], np.uint64)
    assert near_duplicate_share(far) == 0.0
    flips = np.uint64(1) | np.uint64(1 << 40) | np.uint64(1 << 63)
    assert near_duplicate_share(np.append(far, far[0] ^ flips)) == pytest.approx(2 / 3)
    assert near_duplicate_share(np.append(far, far[0] ^ flips ^ np.uint64(2))) == 0.0
    assert near_duplicate_share(np.empty(0, np.uint64)) is None


def test_near_duplicates_agree_with_brute_force() -> None:
    draw = np.random.default_rng(1)
    hashes = draw.integers(0, 2**64, 300, dtype=np.uint64)
    hashes[100:150] = hashes[:50] ^ (np.uint64(1) << draw.integers(0, 64, 50, dtype=np.uint64))
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :]).astype(int)
    np.fill_diagonal(distance, 64)
    assert near_duplicate_share(hashes) == (distance.min(axis=1) <= 3).mean()
