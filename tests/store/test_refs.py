"""The ref log: atomic, consecutive, checked; a checkpoint is only a shortcut."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.errors import Conflict, Damaged
from artvc.model.ids import transaction_id
from artvc.store import refs
from artvc.store.fsio import Disk
from artvc.store.refs import RefEdit, RefLog

WHEN = {"time": "2026-11-23T03:00:00.000000Z", "who": "Ada", "why": "test"}


def put(log: RefLog, name: str, value: int | None):
    full = f"artifacts/p/data/{name}"
    return log.apply(lambda state: [RefEdit(full, state.get(full), None if value is None else {"n": value})], **WHEN)


def names(log: RefLog) -> dict[str, int]:
    return {name: value["n"] for name, value in log.state().below("artifacts/p/data").items()}


edits = st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.integers(0, 5)), max_size=25)


@settings(max_examples=25, deadline=None)
@given(edits, st.integers(1, 6))
def test_the_fold_of_the_log(tmp_path_factory, changes, every):
    root = tmp_path_factory.mktemp("log")
    for name in ("refs", "tmp", "locks"):
        (root / name).mkdir()
    before, refs._CHECKPOINT_EVERY = refs._CHECKPOINT_EVERY, every
    try:
        logs = [RefLog(Disk(sync=False), str(root)) for _ in range(2)]
        model: dict[str, int] = {}
        for number, (name, value) in enumerate(changes):
            done = put(logs[number % 2], name, value)
            assert (done is None) == (model.get(name) == value)
            model.pop(name, None) if value is None else model.__setitem__(name, value)
            assert names(logs[(number + 1) % 2]) == model
    finally:
        refs._CHECKPOINT_EVERY = before
    fresh = RefLog(Disk(sync=False), str(root))
    assert names(fresh) == model
    history = [*fresh.history(newest_first=False)]
    assert [one.number for one in history] == [*range(1, len(history) + 1)]
    assert [one.previous for one in history] == [None, *(one.id for one in history)][: len(history)]
    for path in (root / "refs").glob("*.checkpoint"):
        path.unlink()
    assert names(RefLog(Disk(sync=False), str(root))) == model


@pytest.fixture
def log(store, monkeypatch):
    monkeypatch.setattr(refs, "_CHECKPOINT_EVERY", 4)
    made = store.log()
    for number in range(10):
        put(made, f"v{number}", number)
    return made


WHOLE = {f"v{number}": number for number in range(10)}


def path(store, number: int, suffix: str = "json"):
    return store.root / "refs" / f"{number:020}.{suffix}"


def test_checkpoints_are_written_and_used(store, log):
    assert path(store, 4, "checkpoint").exists()
    assert path(store, 8, "checkpoint").exists()
    path(store, 1).write_bytes(b"damaged, but nobody needs it to read the state")
    assert names(store.log()) == WHOLE


@pytest.mark.parametrize("how", ["flip", "empty", "cut", "zeros", "directory", "lost", "wrong number"])
def test_a_damaged_checkpoint_costs_only_time(store, log, how):
    for number in (4, 8):
        place = path(store, number, "checkpoint")
        raw = bytearray(place.read_bytes())
        if how == "flip":
            raw[20] ^= 1
        place.unlink()
        if how == "directory":
            place.mkdir()
        elif how == "wrong number":
            body = raw.partition(b"\n")[0].replace(b'"number":', b'"number":1')
            place.write_bytes(body + b"\n" + transaction_id(bytes(body)).hex().encode() + b"\n")
        elif how != "lost":
            place.write_bytes({"empty": b"", "cut": raw[:50], "zeros": bytes(len(raw)), "flip": raw}[how])
    fresh = store.log()
    assert names(fresh) == WHOLE
    put(fresh, "v10", 10)
    assert names(store.log()) == WHOLE | {"v10": 10}


def test_every_flipped_bit_of_a_transaction_is_found(store, log):
    for place in (4, 8):
        path(store, place, "checkpoint").unlink()
    last = path(store, 10)
    good = last.read_bytes()
    for at in range(len(good)):
        broken = bytearray(good)
        broken[at] ^= 4
        last.write_bytes(broken)
        with pytest.raises(Damaged, match="0000010"):
            store.log().state()


def test_a_gap(store, log):
    path(store, 9).unlink()
    with pytest.raises(Damaged, match="gap"):
        store.log().state()
    with pytest.raises(Damaged):
        put(store.log(), "x", 1)


def test_a_transaction_that_does_not_follow(store, log):
    raw = path(store, 10).read_bytes().partition(b"\n")[0]
    value = json.loads(raw)
    for change in ({"previous": "0" * 64}, {"number": 11}, {"format": 2}, {"edits": None}, {"time": "now"}, {"x": 1}):
        body = json.dumps(value | change, sort_keys=True, separators=(",", ":")).encode()
        path(store, 10).write_bytes(body + b"\n" + transaction_id(body).hex().encode() + b"\n")
        with pytest.raises(Damaged):
            store.log().state()
    wrong = [{"name": "artifacts/p/data/v9", "new": {"n": 1}, "old": {"n": 77}}]
    body = json.dumps(value | {"edits": wrong}, sort_keys=True, separators=(",", ":")).encode()
    path(store, 10).write_bytes(body + b"\n" + transaction_id(body).hex().encode() + b"\n")
    with pytest.raises(Damaged, match="contradicts"):
        store.log().state()


def test_strangers_are_ignored(store, log):
    for name in ("00000000000000000011.json~", "conflicted copy.json", ".DS_Store", "11.json", "0" * 20 + ".bak"):
        (store.root / "refs" / name).write_bytes(b"x")
    assert names(store.log()) == WHOLE


def test_expectations(store, log):
    name = "artifacts/p/data/v1"
    with pytest.raises(Conflict):
        log.apply(lambda state: [RefEdit(name, {"n": 99}, {"n": 5})], **WHEN)
    with pytest.raises(Conflict):
        log.apply(lambda state: [RefEdit(name, None, {"n": 5})], **WHEN)
    with pytest.raises(Conflict, match="twice"):
        log.apply(lambda state: [RefEdit(name, {"n": 1}, {"n": 5}), RefEdit(name, {"n": 1}, {"n": 6})], **WHEN)
    for bad in ("artifacts/p", "other/p/a/v1", "artifacts/p/data/../v1/x", "artifacts//data/v1", "artifacts/p/a\n/v"):
        if bad.count("..") == 0:
            with pytest.raises(Conflict):
                log.apply(lambda state, bad=bad: [RefEdit(bad, None, {"n": 5})], **WHEN)
    assert names(store.log()) == WHOLE
    assert not list((store.root / "tmp").iterdir())


def test_two_writers_interleaved(store, log):
    """While one has computed its edits, another one commits: the first decides anew."""
    other = store.log()
    calls = []

    def build(state):
        calls.append(state.number)
        if len(calls) == 1:
            put(other, "mine", 1)
        taken = len(state.below("artifacts/p/data"))
        return [RefEdit(f"artifacts/p/data/new{taken}", None, {"n": taken})]

    lockless = store.log()
    lockless._lock = str(store.root / "nowhere" / "lock")  # no lock to be had
    done = lockless.apply(build, **WHEN)
    assert calls == [10, 11]
    assert done.number == 12
    assert names(log) == WHOLE | {"mine": 1, "new11": 11}


def test_a_writer_that_meets_a_conflict_on_the_second_try(store, log):
    other = store.log()
    first = []

    def build(state):
        old = {"n": 1} if not first else state.get("artifacts/p/data/v1")
        if not first:
            first.append(1)
            put(other, "v1", 50)
            return [RefEdit("artifacts/p/data/v1", old, {"n": 2})]
        raise Conflict("was moved")

    lockless = store.log()
    lockless._lock = str(store.root / "nowhere" / "lock")
    with pytest.raises(Conflict, match="moved"):
        lockless.apply(build, **WHEN)
    assert names(log)["v1"] == 50


def test_checkpoints_stay_in_proportion(store, monkeypatch):
    """With many names a checkpoint comes more rarely: what they cost together is a small multiple of the names."""
    log = store.log()
    log.apply(lambda state: [RefEdit(f"artifacts/p/big/v{n}", None, {"n": n}) for n in range(20_000)], **WHEN)
    for number in range(150):
        put(log, f"v{number}", number)
    written = len(list((store.root / "refs").glob("*.checkpoint")))
    assert written <= 2
    assert len(store.log().state().refs) == 20_150


def test_what_is_said_already_is_durable(store, log):
    """No edits: still the directory is synced, for the process that wrote it may have died before it could."""
    synced = []

    class Watching(Disk):
        def fsync_dir(self, path: str) -> None:
            synced.append(path)

    watched = RefLog(Watching(), str(store.root))
    assert put(watched, "v1", 1) is None
    assert synced == [str(store.root / "refs")]


def test_a_log_that_moves_on_while_a_transaction_is_checked(tmp_path):
    """Whoever checks may look at the log: what others did meanwhile is then built upon, never contradicted."""

    class Lockless(Disk):
        @contextlib.contextmanager
        def lock(self, path, *, exclusive):
            yield False

    for name in ("refs", "tmp", "locks"):
        (tmp_path / name).mkdir()
    other = RefLog(Lockless(sync=False), str(tmp_path))
    rivals = iter((1, 2))

    def look(_edits, _state):
        for value in rivals:
            put(other, "a", value)
            break
        mine.state()

    mine = RefLog(Lockless(sync=False), str(tmp_path), look)
    assert put(mine, "a", 9).number == 3
    assert names(RefLog(Disk(sync=False), str(tmp_path))) == {"a": 9}
    assert [one.edits[0].old for one in other.history(newest_first=False)] == [None, {"n": 1}, {"n": 2}]


def test_threads_of_one_log_write_and_read(tmp_path):
    for name in ("refs", "tmp", "locks"):
        (tmp_path / name).mkdir()
    log = RefLog(Disk(sync=False), str(tmp_path))

    def work(number):
        for value in range(20):
            put(log, f"v{number}", value)
            log.state()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert names(RefLog(Disk(sync=False), str(tmp_path))) == {f"v{number}": 19 for number in range(4)}
