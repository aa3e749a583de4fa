"""Storage: atomic on both kinds of place, patient with faults, clear when it gives up."""

from __future__ import annotations

import errno
import io
import pickle
from pathlib import Path

import pytest
from s3_server import BUCKET, S3

from mimic.errors import StorageError
from mimic.storage import MissingError, Storage, _faults, _local, _objects, _store

FAULTS = ("500", "502", "slowdown", "drop", "lost", "hang")


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return Storage(f"s3://{BUCKET}/some/folder")
    return Storage(tmp_path / "out" if request.param == "local" else f"memory://{tmp_path.name}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(_objects, "READ_TIMEOUT_S", 0.5)


def test_what_is_written_is_read_listed_and_deleted(store: Storage, tmp_path: Path) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(b"0123456789" * 100)
    assert store.list() == []
    store.write("b/two", b"two")
    store.put(local, "a/one")
    with store.staged("c") as path:
        path.write_bytes(b"three")

    assert [(e.name, e.size) for e in store.list()] == [("a/one", 1000), ("b/two", 3), ("c", 5)]
    assert [e.name for e in store.list("b")] == ["b/two"]
    assert store.list("absent") == []
    assert [e.name for e in store.list(recursive=False)] == ["c"]
    assert [e.name for e in store.list("a", recursive=False)] == ["a/one"]
    assert store.read("b/two") == b"two"
    assert store.read_range("a/one", 5, 10) == b"5678901234"
    assert store.read_range("a/one", 995, 10) == b"56789"
    assert store.size("a/one") == 1000
    assert store.exists("c")
    assert not store.exists("b")
    assert local.exists()

    store.delete("c")
    store.delete("c")
    store.delete_tree("a")
    store.delete_tree("a")
    assert [e.name for e in store.list()] == ["b/two"]


def test_open_is_a_seekable_file(store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "READ_BLOCK_BYTES", 64)
    data = bytes(range(256)) * 3
    store.write("f", data)
    with store.open("f") as file:
        assert file.read(10) == data[:10]
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        assert file.seek(100) == 100
        assert file.read(300) == data[100:400]


def test_missing_is_said_with_the_address(store: Storage) -> None:
    for call in (store.read, store.size, store.open, lambda n: store.read_range(n, 0, 1)):
        with pytest.raises(MissingError, match="no/such: not found") as raised:
            call("no/such")
        assert store.url in str(raised.value)


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    store = Storage(tmp_path / "notes.txt" / "deep" / "out")
    for call in (lambda: store.write("a", b""), lambda: store.read("a")):
        with pytest.raises(MissingError, match=r"notes\.txt is a file, not a folder"):
            call()
    assert not store.exists("a")


def test_overwriting_leaves_the_new_content_and_changes_the_etag(store: Storage) -> None:
    store.write("f", b"old")
    before = store.list()[0].etag
    store.write("f", b"new and longer")
    assert store.read("f") == b"new and longer"
    assert store.list()[0].etag != before or store.url.startswith("memory")


def test_an_error_while_staging_commits_nothing(store: Storage) -> None:
    store.write("f", b"old")

    def fail() -> None:
        with store.staged("f") as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not path_exists_with_prefix(store)
    assert store.read("f") == b"old"


def path_exists_with_prefix(store: Storage) -> bool:
    root = store.local_path()
    return root is not None and any(p.name.startswith(".~") for p in root.rglob("*"))


def test_names_may_not_leave_the_storage(store: Storage) -> None:
    for name in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(ValueError, match="stays inside"):
            store.write(name, b"")


def test_pickles_and_joins(store: Storage) -> None:
    store.write("f", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert again.read("f") == b"1"
    assert store.sub("a").join("b") == store.join("a/b")
    assert (store.local_path("f") is None) == (not store.is_local)


class _AnsweredError(Exception):
    """An error of a store's client: the status and the code that it was answered with."""

    def __init__(self, status: int, code: str = "") -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


class IncompleteRead(Exception):  # noqa: N818  # named as one that is told apart by its name
    pass


class NoCredentialsError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "here", "there"),
    [
        (OSError(errno.ENOSPC, ""), "full", "full"),
        (OSError(errno.EDQUOT, ""), "full", "full"),
        (OSError(errno.EROFS, ""), "forbidden", "forbidden"),
        (PermissionError(), "forbidden", "forbidden"),
        (NoCredentialsError(), "other", "forbidden"),
        (FileNotFoundError(), "missing", "missing"),
        (NotADirectoryError(), "missing", "missing"),
        (IsADirectoryError(), "missing", "missing"),
        (ConnectionResetError(), "other", "transient"),
        (TimeoutError(), "other", "transient"),
        (OSError(errno.EBUSY, ""), "other", "transient"),
        (OSError(errno.EIO, ""), "other", "other"),
        (IncompleteRead(), "other", "transient"),
        (_AnsweredError(503), "other", "transient"),
        (_AnsweredError(429), "other", "transient"),
        (_AnsweredError(400, "RequestTimeout"), "other", "transient"),
        (_AnsweredError(400, "MalformedXML"), "other", "other"),
    ],
)
def test_what_is_made_of_an_error(error: Exception, here: str, there: str) -> None:
    assert _faults.kind_of(error, local=True) == here
    assert _faults.kind_of(error, local=False) == there
    link = RuntimeError("the client gave up")
    link.__cause__ = error
    if there == "transient":
        assert _faults.kind_of(link, local=False) == "transient"


# ---------------------------------------------------------------- local


def test_a_file_url_is_the_local_folder(tmp_path: Path) -> None:
    assert Storage(f"file://{tmp_path}") == Storage(tmp_path)


def test_local_files_being_written_are_not_listed(tmp_path: Path) -> None:
    store = Storage(tmp_path)
    with store.staged("f") as path:
        path.write_bytes(b"half")
        assert path.parent == tmp_path
        assert store.list() == []


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    store = Storage(tmp_path)
    for name in ("a/b/f", "a/f", "f"):
        store.write(name, b"whole")
        (tmp_path / name).with_name(_local.temporary_beside(tmp_path / name).name).touch()
    (tmp_path / ".~lock.notes.odt#").touch()  # an office program's
    whole = {tmp_path / name for name in ("a/b/f", "a/f", "f", ".~lock.notes.odt#")}

    def files() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if path.is_file()}

    store.delete_unfinished(recursive=False)
    assert len(files() - whole) == 2
    store.delete_unfinished("a/b")
    assert len(files() - whole) == 1
    store.delete_unfinished()
    assert files() == whole


def test_where_nothing_is_left_unfinished_nothing_is_removed(store: Storage) -> None:
    store.delete_unfinished("absent")
    store.write("f", b"whole")
    store.delete_unfinished()
    assert [entry.name for entry in store.list()] == ["f"]


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_failure_before_the_rename_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = Storage(tmp_path)
    store.write("f", b"old")

    def fail(*args: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(Path if failing == "replace" else _local.os, failing, fail)
    with pytest.raises(StorageError, match="broken disk"):
        store.write("f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_the_file_and_its_folder_are_synced_around_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = _local._sync, Path.replace
    monkeypatch.setattr(_local, "_sync", lambda p: (steps.append(f"sync {p.is_dir()}"), sync(p)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("rename"), replace(a, b)))
    Storage(tmp_path).write("f", b"x")
    assert steps == ["sync False", "rename", "sync True"]


def test_no_space_left_is_said_and_leaves_no_litter() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    error = _faults.sentence("full", "write", "x", OSError())
    assert "no space left" in str(error)
    with pytest.raises(OSError) as raised, full.open("wb", buffering=0) as file:  # noqa: PT011
        file.write(b"x")
    assert _faults.kind_of(raised.value, local=True) == "full"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = Storage(tmp_path)

    def full(*args: object) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(_local.os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*/f: no space left; free some"):
        store.write("f", b"x")
    assert list(tmp_path.iterdir()) == []

    with (
        pytest.raises(StorageError, match=r"no space left; free some"),
        store.staged("f"),
    ):
        full()


def test_an_unwritable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom modes do not stop
    with pytest.raises(StorageError, match=r"cannot write .*/f: access denied"):
        Storage(tmp_path).write("f", b"x")


def test_local_errors_are_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store.time, "sleep", lambda s: pytest.fail("waited for a local disk"))
    with pytest.raises(StorageError):
        Storage(tmp_path).read("absent")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(StorageError, match="cannot open nonsense://x"):
        Storage("nonsense://x").list()


# ---------------------------------------------------------------- S3, with faults


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_few_faults_cost_nothing_but_time(s3: S3, fault: str) -> None:
    s3.proxy.hang_s = 1.0
    store = Storage(f"s3://{BUCKET}/x")
    store.write("seen", b"hello" * 1000)
    times = 1 if fault == "hang" else 3

    def under_faults(call: object) -> object:
        s3.proxy.faults.extend([fault] * times)
        result = call()  # type: ignore[operator]
        assert not s3.proxy.faults, "the faults were not met"
        return result

    under_faults(lambda: store.write("new", b"data"))
    assert store.read("new") == b"data"
    assert under_faults(lambda: store.read("seen")) == b"hello" * 1000
    assert under_faults(lambda: store.read_range("seen", 3, 4)) == b"lohe"
    assert under_faults(lambda: store.size("seen")) == 5000
    assert [e.name for e in under_faults(store.list)] == ["new", "seen"]  # type: ignore[attr-defined]
    under_faults(lambda: store.delete("new"))
    under_faults(lambda: store.delete_tree("seen"))
    assert s3.stored() == []


@pytest.mark.usefixtures("quick")
def test_an_answer_cut_in_the_middle_is_read_again(s3: S3) -> None:
    store = Storage(f"s3://{BUCKET}/x")
    store.write("f", bytes(range(256)) * 64)
    s3.proxy.faults.extend(["cut", "cut"])
    assert store.read("f") == bytes(range(256)) * 64
    s3.proxy.faults.extend(["cut", "cut"])
    with store.open("f") as file:
        assert file.read() == bytes(range(256)) * 64
    assert not s3.proxy.faults


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["500", "slowdown", "drop"])
def test_lasting_faults_end_in_one_sentence(s3: S3, fault: str) -> None:
    store = Storage(f"s3://{BUCKET}/x")
    s3.proxy.faults.extend([fault] * 1000)
    before = len(s3.proxy.requests)
    with pytest.raises(StorageError, match=rf"cannot write s3://{BUCKET}/x/f: out of reach") as e:
        store.write("f", b"data")
    assert "run the same command again" in str(e.value)
    assert "\n" not in str(e.value)
    # Only our own retries run (the HTTP library itself repeats a request whose connection dropped).
    requests = len(s3.proxy.requests) - before
    assert requests == _store.ATTEMPTS * (2 if fault == "drop" else 1)
    s3.proxy.faults.clear()
    assert s3.stored() == []


@pytest.mark.usefixtures("quick", "s3")
def test_a_refused_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"list s3://bucket/x: out of reach .*127.0.0.1:9"):
        Storage(f"s3://{BUCKET}/x").list()


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_is_named() -> None:
    store = Storage("s3://absent/x")
    with pytest.raises(StorageError, match=r"s3://absent/x: the bucket does not exist"):
        store.list()
    with pytest.raises(StorageError, match=r"s3://absent/x/f: the bucket does not exist"):
        store.write("f", b"")


@pytest.mark.usefixtures("s3")
def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(StorageError, match="check permissions or credentials"):
        Storage(f"s3://{BUCKET}/x").write("f", b"")


def test_a_marker_costs_one_request(s3: S3) -> None:
    store = Storage(f"s3://{BUCKET}/x")
    store.write("warm", b"")
    before = len(s3.proxy.requests)
    store.write("f", b"data")
    store.read("f")
    store.list()
    assert [method for method, _ in s3.proxy.requests[before:]] == ["PUT", "GET", "GET"]
