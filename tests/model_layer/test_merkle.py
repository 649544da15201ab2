"""Trees and chunk lists against plain dicts and lists."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.errors import Conflict, Damaged, LimitExceeded, MalformedObject, NotFound
from artvc.model import codec, merkle
from artvc.model.ids import Id, Kind, id_of
from artvc.model.merkle import Change, ChunkList
from artvc.model.objects import Content, Entry, EntryKind, file_entry


class Store:
    """Nodes in a dict; counts what was put and got."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, Id], bytes] = {}
        self.gets = 0

    def put(self, kind: Kind, data: bytes) -> Id:
        found = id_of(kind, data)
        self.objects[kind, found] = data
        return found

    def get(self, kind: Kind, wanted: Id) -> bytes:
        self.gets += 1
        if (kind, wanted) not in self.objects:
            raise NotFound(wanted.hex())
        return self.objects[kind, wanted]


def entry(name: str, number: int = 0) -> Entry:
    return file_entry(name, Content(EntryKind.CHUNK, id_of(Kind.CHUNK, str(number).encode()), 1))


paths = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map("/".join)
models = st.dictionaries(paths, st.integers(0, 3), max_size=25).map(
    lambda found: {p: n for p, n in found.items() if not any(q.startswith(p + "/") for q in found)}
)


def write(store: Store, model: dict[str, int]) -> merkle.TreeSummary:
    return merkle.write_tree(((p, entry(p.rpartition("/")[2], n)) for p, n in model.items()), store.put)


def differences(old: dict[str, int], new: dict[str, int]) -> dict[str, tuple[int | None, int | None]]:
    return {p: (old.get(p), new.get(p)) for p in old.keys() | new.keys() if old.get(p) != new.get(p)}


def as_differences(changes: list[Change]) -> dict[str, tuple[int | None, int | None]]:
    numbers = {id_of(Kind.CHUNK, str(n).encode()): n for n in range(10_000)}

    def number(one: Entry | None) -> int | None:
        return None if one is None else numbers[one.id]  # type: ignore[index]

    assert len({change.path for change in changes}) == len(changes)
    return {change.path: (number(change.old), number(change.new)) for change in changes}


@given(models, models)
def test_write_walk_find_compare(old, new):
    store = Store()
    left, right = write(store, old), write(store, new)
    assert {path: one for path, one in merkle.walk(left.id, store.get)} == {
        p: entry(p.rpartition("/")[2], n) for p, n in old.items()
    }
    assert (left.files, left.size) == (len(old), len(old))
    for path in old.keys() | new.keys():
        found = merkle.find(left.id, path, store.get)
        if path in old:
            assert found == entry(path.rpartition("/")[2], old[path])
        else:
            assert found is None or found.kind == EntryKind.DIRECTORY
    assert as_differences([*merkle.compare(left.id, right.id, store.get)]) == differences(old, new)
    assert as_differences([*merkle.compare(None, right.id, store.get)]) == differences({}, new)
    assert (left.id == right.id) == (old == new)


@given(models, st.randoms())
def test_order_does_not_matter(model, rng):
    items = [*model.items()]
    rng.shuffle(items)
    assert write(Store(), model) == write(Store(), dict(items))


BIG = 100_000


@pytest.fixture(scope="module")
def big() -> tuple[Store, dict[str, int], merkle.TreeSummary]:
    store = Store()
    model = {f"file-{number:06}.bin": number % 1000 for number in range(BIG)}
    tree = merkle.write_directory([entry(name, number) for name, number in model.items()], store.put)
    return store, model, tree


def test_a_large_directory(big):
    store, model, tree = big
    assert tree.files == BIG
    assert [one.name for one in merkle.iterate(tree.id, store.get)] == sorted(model)
    assert merkle.find(tree.id, "file-077777.bin", store.get) == entry("file-077777.bin", 777)
    assert merkle.find(tree.id, "file-07777.bin", store.get) is None
    assert merkle.find(tree.id, "zzz", store.get) is None
    assert max(len(data) for data in store.objects.values()) < 128 * 1024


@pytest.mark.parametrize("act", ["change", "add", "remove", "add first", "add last", "add many"])
def test_one_change_in_a_large_directory_writes_little(big, act):
    store, model, tree = big
    changed = dict(model)
    if act == "change":
        changed["file-050000.bin"] = 5
    elif act == "remove":
        del changed["file-050000.bin"]
    elif act == "add many":
        changed |= {f"file-05000{i}.new{j}": j for i in range(10) for j in range(100)}
    else:
        changed[{"add": "file-050000.bis", "add first": "a", "add last": "z"}[act]] = 7
    before = len(store.objects)
    after = merkle.write_directory([entry(name, number) for name, number in changed.items()], store.put)
    fresh = len(store.objects) - before
    assert fresh <= (12 if act != "add many" else 24)
    store.gets = 0
    assert as_differences([*merkle.compare(tree.id, after.id, store.get)]) == differences(model, changed)
    assert store.gets <= 2 * fresh + 12


def test_adversarial_names_do_not_make_high_trees():
    """Names whose hash has zeros at every level, as far as the minimum lets them cut: the height stays small."""
    from xxhash import xxh3_64_intdigest

    found = [name for number in range(1_500_000) if not xxh3_64_intdigest((name := f"n{number}").encode()) & 0xFF]
    assert len(found) > 5000
    store = Store()
    tree = merkle.write_directory([entry(name) for name in found], store.put)
    node = merkle.read_node(tree.id, store.get)
    assert node.level <= 3
    assert sum(1 for _ in merkle.iterate(tree.id, store.get)) == len(found)
    # and names that never cut make full nodes
    store = Store()
    names = [name for number in range(20_000) if xxh3_64_intdigest((name := f"n{number}").encode()) & 0xFF]
    tree = merkle.write_directory([entry(name) for name in names], store.put)
    assert merkle.read_node(tree.id, store.get).level == 1
    assert sum(1 for _ in merkle.iterate(tree.id, store.get)) == len(names)


def test_conflicts_and_depth():
    store = Store()
    for bad in ([("a", entry("a")), ("a", entry("a"))], [("a", entry("a")), ("a/b", entry("b"))],
                [("a/b", entry("b")), ("a", entry("a"))]):  # fmt: skip
        with pytest.raises(Conflict):
            merkle.write_tree(bad, store.put)
    with pytest.raises(Conflict):
        merkle.write_directory([entry("a", 1), entry("a", 2)], store.put)
    with pytest.raises(LimitExceeded):
        merkle.write_tree([("d/" * 64 + "a", entry("a"))], store.put)


def test_a_hostile_tree_is_no_endless_walk():
    """A directory nested deeper than any path may be."""
    store = Store()
    tree = merkle.write_directory([], store.put)
    for _ in range(200):
        tree = merkle.write_directory([merkle.directory_entry("d", tree), entry("f")], store.put)
    with pytest.raises(LimitExceeded):
        list(merkle.walk(tree.id, store.get))
    with pytest.raises(LimitExceeded):
        list(merkle.compare(None, tree.id, store.get))


def test_nodes_that_do_not_fit_their_parents(big):
    store, _, tree = big
    root = merkle.read_node(tree.id, store.get)
    assert root.level > 0
    wrong = root.children[0]._replace(last="zzz")
    for children in ([*root.children[:-1], root.children[-1]._replace(last="zzz")], [wrong]):
        bad = store.put(Kind.TREE, codec.encode_tree(root.level, children))
        with pytest.raises(MalformedObject):
            list(merkle.iterate(bad, store.get))
    lifted = store.put(Kind.TREE, codec.encode_tree(root.level + 1, root.children))
    with pytest.raises(MalformedObject):
        list(merkle.iterate(lifted, store.get))


def chunk_list(store: Store, sizes: list[int], seed: int = 0) -> tuple[Content, list[tuple[bytes, int]]]:
    chunks = ChunkList(store.put)
    rng = random.Random(seed)
    parts = [(rng.randbytes(32), size) for size in sizes]
    for raw, size in parts:
        chunks.add(raw, size)
    return chunks.finish(), parts


@settings(max_examples=40)
@given(st.integers(1, 5000), st.integers(0, 2**32), st.data())
def test_slices(count, seed, data):
    store = Store()
    rng = random.Random(seed)
    content, parts = chunk_list(store, [rng.randrange(1, 1000) for _ in range(count)], seed)
    total = sum(size for _, size in parts)
    assert content.size == total
    assert (content.kind == EntryKind.CHUNK) == (count == 1)
    found = [*merkle.slices(content, store.get)]
    assert [(one.id, one.size) for one in found] == parts
    assert all(one.offset == sum(size for _, size in parts[:i]) for i, one in enumerate(found[:50]))
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total + 10))
    some = [*merkle.slices(content, store.get, start=start, stop=stop)]
    if count > 1:
        assert some == [one for one in found if one.offset < stop and one.offset + one.size > start]


@pytest.mark.parametrize("count", [63, 64, 65, 1023, 1024, 1025, 4096, 100_000])
def test_long_chunk_lists(count):
    store = Store()
    content, parts = chunk_list(store, [65_536] * count, seed=count)
    assert [(one.id, one.size) for one in merkle.slices(content, store.get)] == parts
    store.gets = 0
    middle = content.size // 2
    (one,) = merkle.slices(content, store.get, start=middle, stop=middle + 1)
    assert one.offset <= middle < one.offset + one.size
    assert store.gets <= 4


def test_equal_ids_that_all_cut_do_not_make_a_high_list():
    """A file of zeros is one chunk over and over; should its id cut, nodes have the minimum of items."""
    for first in (b"\0", b"\1"):
        store = Store()
        chunks = ChunkList(store.put)
        for _ in range(50_000):
            chunks.add(first * 32, 262_144)
        content = chunks.finish()
        assert sum(one.size for one in merkle.slices(content, store.get)) == 50_000 * 262_144
        assert len(store.objects) < 10


def test_one_changed_chunk_of_many_writes_little():
    store = Store()
    rng = random.Random(1)
    parts = [rng.randbytes(32) for _ in range(100_000)]

    def write_parts() -> Content:
        chunks = ChunkList(store.put)
        for raw in parts:
            chunks.add(raw, 65_536)
        return chunks.finish()

    write_parts()
    before = len(store.objects)
    parts[50_000] = rng.randbytes(32)
    del parts[60_000]
    write_parts()
    assert len(store.objects) - before <= 16


def test_a_list_that_lies_about_its_size():
    store = Store()
    content, _ = chunk_list(store, [100] * 5000)
    with pytest.raises(Damaged):
        list(merkle.slices(content._replace(size=content.size + 1), store.get))
    root = codec.decode_blob(store.get(Kind.BLOB, content.id))
    first, second, *rest = root.parts
    bad = store.put(
        Kind.BLOB,
        codec.encode_blob(
            root.level, [first._replace(size=first.size + 1), second._replace(size=second.size - 1), *rest]
        ),
    )
    with pytest.raises(MalformedObject):
        list(merkle.slices(content._replace(id=bad), store.get))
