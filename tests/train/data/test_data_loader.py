"""Batches: exact, equal for any number of threads, ranks and resumptions; and what goes wrong."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from loader_shards import config, make_shards, opened

from mimic import opencv
from mimic.shards.corr import encode_corr
from mimic.shards.reader import Shards
from mimic.shards.tar import BLOCK
from train.data import Batch, DataSets, Loader, Transform, Wanted, open_sets
from train.data.bad import BadSamples
from train.data.config import ViewsConfig
from train.data.pairs import ShardSet
from train.data.sample import CorruptError, Sample, geometry_of
from train.errors import TrainError
from train.methods.pose_errors import relative

PICTURES = Wanted(geometry=False, covis=False, corr=False)
CROP = ViewsConfig(size=(32, 32), crop="resized", flip=0.5, swap=0.5)
SQUASH = ViewsConfig(size=(48, 32), crop="squash", flip=0.5, swap=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loader")
    make_shards(folder, rich=True)
    return folder


def loader(data: DataSets, views: ViewsConfig = CROP, batch: int = 8, **options) -> Loader:
    return Loader(data, data.order(1, batch), Transform(views), **({"threads": 2} | options))


def same(one: Batch, two: Batch) -> bool:
    tensors = ("numbers", "images", "covis")
    nans = ("intrinsics", "cam_to_world", "homography")
    return (
        (one.step, one.keys) == (two.step, two.keys)
        and all(torch.equal(getattr(one, n), getattr(two, n)) for n in tensors)
        and all(
            np.array_equal(getattr(one, n).numpy(), getattr(two, n).numpy(), equal_nan=True)
            for n in nans
        )
        and all(torch.equal(a, b) for a, b in zip(one.corr, two.corr, strict=True))
    )


@pytest.mark.parametrize("options", [{"threads": 4, "prefetch": 5}, {"threads": 1, "prefetch": 0}])
def test_batches_are_the_same_however_they_are_made(made: Path, options: dict[str, int]) -> None:
    one = list(loader(opened(made), SQUASH).batches(2, 7))
    two = list(loader(opened(made), SQUASH, **options).batches(2, 7))
    assert [batch.step for batch in one] == [2, 3, 4, 5, 6]
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


def test_a_run_that_stops_and_resumes_sees_what_an_undisturbed_one_sees(made: Path) -> None:
    whole = list(loader(opened(made), SQUASH).batches(0, 9))
    begun = loader(opened(made), SQUASH, prefetch=3).batches(0)
    first = list(itertools.islice(begun, 4))
    begun.close()  # with three batches decoded ahead, which nobody has seen
    rest = list(loader(opened(made), SQUASH, threads=3).batches(4, 9))
    assert all(same(a, b) for a, b in zip(whole, first + rest, strict=True))


@pytest.mark.parametrize("world", [2, 4])
def test_the_batches_of_all_ranks_are_that_of_one(made: Path, world: int) -> None:
    whole = next(loader(opened(made), SQUASH).batches(5))
    parts = [
        next(loader(opened(made), SQUASH, rank=rank, world=world).batches(5))
        for rank in range(world)
    ]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.covis for part in parts]), whole.covis)
    assert sum((part.keys for part in parts), ()) == whole.keys
    assert torch.equal(torch.cat([part.numbers for part in parts]), whole.numbers)


def test_an_epoch_has_every_sample_once(made: Path) -> None:
    data = opened(made, PICTURES)
    steps = len(data) // 8
    keys = [key for batch in loader(data).batches(0, steps) for key in batch.keys]
    assert len(set(keys)) == len(keys) == steps * 8
    assert set(keys) <= {data.key(n) for n in range(len(data))}


def test_a_batch_holds_what_is_stored(made: Path) -> None:
    """Squashed to the stored size, nothing is changed: all of it can be compared."""
    data = opened(made)
    views = ViewsConfig(size=(96, 64), crop="squash")
    stored = {sample.key: sample for sample in Shards(made).samples("train")}
    batch = next(loader(data, views).batches(0))
    from train.data.decode import decode_picture

    for slot, key in enumerate(batch.keys):
        sample = stored[key]
        assert data.key(int(batch.numbers[slot])) == key
        for view in (0, 1):
            picture = decode_picture(bytearray(sample.view_bytes(view + 1)))
            assert torch.equal(batch.images[slot, view], picture)
            labels = sample.covis(view + 1, 2 - view)
            assert np.array_equal(batch.covis[slot, view].numpy(), labels)
            meta = sample.meta["views"][view]
            assert np.allclose(batch.intrinsics[slot, view], meta["intrinsics"])
            assert np.allclose(batch.cam_to_world[slot, view], meta["cam_to_world"])
        assert np.allclose(batch.homography[slot], sample.meta["edges"][0]["homography"])
        assert np.array_equal(batch.corr[slot].numpy(), sample.corr())


def test_a_pair_has_the_same_relative_pose_wherever_its_world_begins(
    made: Path, tmp_path: Path
) -> None:
    """In UTM or about the earth's centre, where float32 has steps of 0.25 m and more."""
    far = make_shards(tmp_path, rich=True, origin_m=4e6 + 0.1)
    here, there = (next(loader(opened(url), SQUASH, batch=16).batches()) for url in (made, far))
    assert here.keys == there.keys
    assert there.cam_to_world.dtype == torch.float64
    assert there.cam_to_world[..., :3, 3].abs().amax() > 4e6
    for one, two in zip(relative(here.cam_to_world), relative(there.cam_to_world), strict=True):
        torch.testing.assert_close(two, one, atol=1e-6, rtol=0)


def test_poses_of_no_known_unit_are_unknown(made: Path) -> None:
    meta = next(iter(Shards(made).samples("train"))).meta
    assert geometry_of(meta).posed
    unscaled = {**meta, "source": {**meta["source"], "kind": "unscaled"}}
    assert np.isnan(geometry_of(unscaled).cam_to_world).all()
    assert not np.isnan(geometry_of(unscaled).intrinsics).any()


def test_what_is_not_wanted_or_not_there_is_unknown(made: Path, tmp_path: Path) -> None:
    poor = make_shards(tmp_path, "abcd")
    for batch in (
        next(loader(opened(made, PICTURES), batch=4).batches()),
        next(loader(opened(poor, Wanted(corr=False)), batch=4).batches()),
    ):
        assert (batch.covis == 255).all()
        assert batch.intrinsics.isnan().all()
        assert batch.cam_to_world.isnan().all()
        assert [len(corr) for corr in batch.corr] == [0, 0, 0, 0]
    assert not batch.homography.isnan().any()


def test_views_as_singles_are_each_view_of_each_pair(made: Path) -> None:
    data = opened(made, PICTURES)
    singles = data.singles()
    assert len(singles) == 2 * len(data)
    assert singles.fingerprint != data.fingerprint
    batch = next(loader(singles, ViewsConfig(size=(96, 64), crop="squash")).batches())
    assert batch.images.shape == (8, 1, 3, 64, 96)
    for number, image in zip(batch.numbers.tolist(), batch.images, strict=True):
        pair, view = divmod(number, 2)
        assert torch.equal(image[0], data.sets[0].load(pair).images[view])


def test_several_sets_are_mixed_by_weight(made: Path, tmp_path: Path) -> None:
    other = make_shards(tmp_path, "ghijk")
    both = config(made, other).model_copy(
        update={
            "sets": tuple(
                part.model_copy(update={"weight": weight})
                for part, weight in zip(config(made, other).sets, (3.0, 1.0), strict=True)
            )
        }
    )
    data = open_sets(both, "train", PICTURES)
    for batch in loader(data).batches(0, 4):
        assert (batch.numbers < data.sizes[0]).sum() == 6


def corrupted(made: Path, keys: set[str], suffix: str = "view2.jpg") -> None:
    """Overwrite a member's bytes, and let the manifest know the tar by its new hash."""
    import hashlib
    import json

    shards = Shards(made)
    manifest = json.loads(shards.manifest.to_json())
    for entry in manifest["shards"]:
        path = made / entry["tar"]["name"]
        data = bytearray(path.read_bytes())
        for row in shards.index(columns=["key", "members"]).to_pylist():
            for member in row["members"]:
                if row["key"] in keys and member["name"].endswith(suffix):
                    head = data[member["offset"] - BLOCK : member["offset"] - BLOCK + 20]
                    if head.decode(errors="replace") == row["key"]:
                        at = member["offset"]
                        data[at : at + member["size"]] = bytes(member["size"])
        path.write_bytes(data)
        entry["tar"]["sha256"] = hashlib.sha256(data).hexdigest()
    (made / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("suffix", ["view2.jpg", "covis_1_2.png", "json", "corr_1_2.npy"])
def test_a_corrupt_sample_is_replaced_counted_and_named(
    tmp_path: Path, suffix: str, caplog
) -> None:
    make_shards(tmp_path, "abcd", rich=True)
    healthy = opened(tmp_path)
    before = {b.step: b for b in loader(healthy, SQUASH, batch=4).batches(0, 5)}
    bad = before[2].keys[1]
    corrupted(tmp_path, {bad}, suffix)
    one, two = (
        loader(opened(tmp_path), SQUASH, batch=4),
        loader(opened(tmp_path), SQUASH, batch=4, threads=3, prefetch=0),
    )
    after = {b.step: b for b in one.batches(0, 5)}
    assert one.bad.keys == (bad,)
    assert one.bad.met == sum(bad in b.keys for b in before.values())
    assert caplog.text.count(bad) == 1
    stand_in = int(after[2].numbers[1])
    number = int(before[2].numbers[1])
    assert stand_in == one.order.spare(2, number, 0) != number
    assert after[2].keys[1] == healthy.key(stand_in)
    for slot in (0, 2, 3):
        assert torch.equal(after[2].images[slot], before[2].images[slot])
    assert all(same(a, b) for a, b in zip(after.values(), two.batches(0, 5), strict=True))


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("corr_1_2.npy", encode_corr(np.array([[0, 24]])), "patches that the pictures do not have"),
        ("corr_1_2.npy", encode_corr(np.array([[-1, 0]])), "patches that the pictures do not have"),
        ("covis_2_1.png", opencv.encode_png(np.zeros((63, 96), np.uint8)), "labels of .63, 96."),
    ],
)
def test_labels_and_correspondences_that_do_not_fit_are_corrupt(made, name, data, says) -> None:
    class Altered:
        def read(self, place, suffixes):
            return whole.read(place, suffixes) | {name: bytearray(data)}

    stored = opened(made).sets[0]
    whole = stored._reader
    with pytest.raises(CorruptError, match=says):
        ShardSet(stored.index, Altered(), Wanted()).load(0)


def test_too_many_corrupt_samples_stop_the_run_and_are_named(tmp_path: Path) -> None:
    make_shards(tmp_path, "abcd")
    data = opened(tmp_path, PICTURES)
    keys = [data.key(n) for n in range(len(data))]
    corrupted(tmp_path, set(keys[:3]))
    with pytest.raises(
        TrainError, match=r"[23] samples cannot be read and 1 may be: .*mimic verify"
    ):
        list(loader(opened(tmp_path, PICTURES), batch=4).batches(0, 3 * len(data) // 4))
    tolerant = loader(opened(tmp_path, PICTURES), batch=4, max_bad_share=0.2)
    seen = {key for b in tolerant.batches(0, len(data) // 4) for key in b.keys}
    assert not seen & set(keys[:3])
    with pytest.raises(TrainError, match=r"\d samples cannot be read and 0 may be"):
        list(loader(opened(tmp_path, PICTURES), batch=4, max_bad_share=0).batches(0, 20))


class Fake:
    """A set that counts and can wait."""

    views, fingerprint = 2, "fake"

    def __init__(self, size: int = 64) -> None:
        self.size, self.loaded = size, []
        self.gate = threading.Event()
        self.gate.set()

    def __len__(self) -> int:
        return self.size

    def key(self, number: int) -> str:
        return f"k{number}"

    def load(self, number: int, only: int | None = None) -> Sample:
        self.gate.wait()
        self.loaded.append(number)
        image = torch.full((3, 8, 8), number % 256, dtype=torch.uint8)
        return Sample(self.key(number), (image, image))

    def close(self) -> None: ...


SMALL = ViewsConfig(size=(8, 8), crop="center")


def threads_alive() -> int:
    return sum(thread.name.startswith("loader-") for thread in threading.enumerate())


def test_closing_stops_the_threads_and_drops_what_has_not_begun() -> None:
    class Allowed(Fake):
        permits = threading.Semaphore(8)

        def load(self, number: int, only: int | None = None) -> Sample:
            self.permits.acquire()
            return super().load(number)

    fake = Allowed()
    batches = loader(DataSets((fake,), None), SMALL, prefetch=4).batches()
    next(batches)
    assert threads_alive() == 2
    later = threading.Timer(0.3, lambda: fake.permits.release(1000))
    later.start()
    batches.close()
    assert threads_alive() == 0
    assert len(fake.loaded) <= 8 + 2, "what two threads had begun"
    later.join()


def test_leaving_the_loop_stops_the_threads() -> None:
    for _batch in loader(DataSets((Fake(),), None), SMALL).batches():
        break
    assert threads_alive() == 0


def test_samples_of_a_step_are_cut_differently_and_each_differently_at_another() -> None:
    class Ramp(Fake):
        def load(self, number: int, only: int | None = None) -> Sample:
            image = torch.arange(3 * 32 * 32).reshape(3, 32, 32).to(torch.uint8)
            return Sample(self.key(number), (image, image))

    views = ViewsConfig(size=(8, 8), crop="shared")
    found = list(loader(DataSets((Ramp(8),), None), views).batches(0, 2))
    corners = [b.images[b.numbers.argsort(), 0, 0, 0, 0].tolist() for b in found]
    assert len(set(corners[0])) > 4
    assert sum(a != b for a, b in zip(*corners, strict=True)) > 4


def test_the_first_bad_sample_is_logged_then_every_thousandth(caplog) -> None:
    bad = BadSamples(5000, 0.001)
    for number in range(2001):
        bad.report(number % 5, CorruptError(f"k{number % 5}", "broken"))
    assert bad.met == 2001
    assert bad.keys == ("k0", "k1", "k2", "k3", "k4")
    assert len(caplog.records) == 3
    with pytest.raises(TrainError, match=r"6 samples cannot be read and 5 may be: k0, .*data\.max"):
        bad.report(5, CorruptError("k5", "broken"))


def test_an_error_in_a_thread_is_the_callers_when_that_batch_is_due() -> None:
    class Breaking(Fake):
        def load(self, number: int, only: int | None = None) -> Sample:
            if number == wanted:
                raise TrainError("shard x: gone")
            return super().load(number)

    data = DataSets((Breaking(),), None)
    wanted = int(data.order(1, 8).indices(2)[3])
    batches = loader(data, SMALL, prefetch=3).batches()
    assert [next(batches).step, next(batches).step] == [0, 1]
    with pytest.raises(TrainError, match="shard x: gone"):
        next(batches)
    assert threads_alive() == 0


def test_no_more_is_decoded_ahead_than_asked() -> None:
    fake = Fake(800)
    batches = loader(DataSets((fake,), None), SMALL, prefetch=2).batches()
    for taken in range(1, 6):
        next(batches)
        assert len(fake.loaded) <= (taken + 2) * 8
    batches.close()


def test_waiting_is_measured() -> None:
    fake = Fake()
    slow = loader(DataSets((fake,), None), SMALL)
    fake.gate.clear()
    threading.Timer(0.2, fake.gate.set).start()
    batches = slow.batches()
    next(batches)
    assert slow.wait_s > 0.1
    batches.close()


def test_torch_computes_on_one_core_in_the_threads_and_as_before_elsewhere() -> None:
    before, elsewhere = torch.get_num_threads(), []
    seen = set()

    class Asking(Fake):
        def load(self, number: int, only: int | None = None) -> Sample:
            seen.add(torch.get_num_threads())
            return super().load(number)

    torch.set_num_threads(2)
    try:
        for _batch in loader(DataSets((Asking(),), None), SMALL).batches(0, 3):
            assert torch.get_num_threads() == 2
            new = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
            new.start()
            new.join()
        assert seen == {1}
        assert elsewhere == [2, 2, 2]
    finally:
        torch.set_num_threads(before)


def test_when_nothing_can_stand_in_the_run_stops() -> None:
    class Broken(Fake):
        def load(self, number: int, only: int | None = None) -> Sample:
            raise CorruptError(self.key(number), "broken")

    with pytest.raises(TrainError, match="cannot be read"):
        next(loader(DataSets((Broken(400),), None), SMALL, max_bad_share=1.0).batches())


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TrainError, match="over 3 ranks"):
        loader(DataSets((Fake(),), None), SMALL, world=3)
