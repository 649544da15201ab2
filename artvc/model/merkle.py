"""Trees and chunk lists of any size over a plain put/get of nodes.

Theory.  A directory is a sorted list of entries, a large file a list of chunks.  Either may have a million items,
so the list is cut into nodes at places that the items themselves choose (for a directory: a hash of the name; for
a file: the id of a chunk), and the list of nodes is cut the same way, level by level, until one node is left: the
root.  Equal lists give equal roots, whatever their history; a change of one item rewrites one node a level; and
two versions are compared by skipping the nodes that they share.

Rule: an item ends a node if the node has at least NODE_MINIMUM items and the item's hash has eight zero bits, or
if it has NODE_ITEMS items.  Each level of a directory looks at other bits of the hash, for the last names of full
nodes all have zeros in the bits below.  The minimum bounds the height, whatever names an adversary finds.

``put(kind, data) -> id`` and ``get(kind, id) -> data`` come from the caller: the store, or a dict in a test.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from artvc.errors import Conflict, Damaged, LimitExceeded, MalformedObject
from artvc.model import codec, names
from artvc.model.codec import BlobNode, Child, Part, TreeNode
from artvc.model.ids import Id, Kind
from artvc.model.objects import Content, Entry, EntryKind, TreeSummary, directory_entry

NODE_MINIMUM: Final = 64

Put = Callable[[Kind, bytes], Id]
Get = Callable[[Kind, Id], bytes]


class Change(NamedTuple):
    """A path that differs between two trees; None on the side that lacks it."""

    path: str
    old: Entry | None
    new: Entry | None


class Slice(NamedTuple):
    """A chunk of a file, and where it lies in it."""

    offset: int
    size: int
    id: Id


class ChunkList:
    """Builds the chunk list of one file as its chunks become known; memory does not grow with the file.

    Args:
        put: stores a node.
    """

    def __init__(self, put: Put) -> None:
        self._put = put
        self._levels: list[list[Part]] = [[]]
        self._size = 0

    def add(self, chunk: bytes, size: int) -> None:
        """Append a chunk: its id and its size in bytes, which is not 0."""
        self._size += size
        self._add(0, Part(size, Id(chunk)))

    def _add(self, level: int, part: Part) -> None:
        parts = self._levels[level]
        parts.append(part)
        if len(parts) >= codec.NODE_ITEMS or (len(parts) >= NODE_MINIMUM and part.id[0] == 0):
            self._close(level)

    def _close(self, level: int) -> None:
        parts = self._levels[level]
        node = Part(sum(part.size for part in parts), self._put(Kind.BLOB, codec.encode_blob(level, parts)))
        self._levels[level] = []
        if level + 1 == len(self._levels):
            self._levels.append([])
        self._add(level + 1, node)

    def finish(self) -> Content:
        """The content of the file.  One chunk stands for itself; an empty file must be given its empty chunk."""
        if len(self._levels) == 1 and len(self._levels[0]) == 1:
            (only,) = self._levels[0]
            return Content(EntryKind.CHUNK, only.id, only.size)
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1 or level == 0:
            if self._levels[level]:
                self._close(level)
            level += 1
        return Content(EntryKind.BLOB, self._levels[level][0].id, self._size)


def write_directory(entries: Iterable[Entry], put: Put) -> TreeSummary:
    """Store one directory, however large.

    Args:
        entries: in any order.
        put: stores a node.

    Raises:
        Conflict: two entries have one name.
    """
    ordered = sorted(entries, key=lambda entry: codec.name_bytes(entry.name))
    for left, right in itertools.pairwise(ordered):
        if left.name == right.name:
            raise Conflict(f"two files want the name {left.name!r}")
    size, files = sum(entry.size for entry in ordered), sum(entry.files for entry in ordered)
    level = 0
    items: Sequence[Entry | Child] = ordered
    while True:
        nodes = [_node(part, level, put) for part in _node_spans(items, level)]
        if len(nodes) == 1:
            return TreeSummary(nodes[0].id, files, size)
        items = nodes
        level += 1


def _node(items: Sequence[Entry | Child], level: int, put: Put) -> Child:
    """Store one node; what its parent says about it."""
    last: Entry | Child | None = items[-1] if items else None
    return Child(
        "" if last is None else _last_name(last),
        sum(item.size for item in items),
        sum(item.files for item in items),
        put(Kind.TREE, codec.encode_tree(level, items)),
    )


Nested = dict[str, "Nested | Entry"]


def _last_name(item: Entry | Child) -> str:
    return item.name if isinstance(item, Entry) else item.last


def _node_spans(items: Sequence[Entry | Child], level: int) -> Iterator[Sequence[Entry | Child]]:
    """Cut the items of one level into nodes; no items make one empty node."""
    start = 0
    shift = 8 * level
    for end, item in enumerate(items, 1):
        count = end - start
        if count < NODE_MINIMUM:
            continue
        hashed = xxh3_64_intdigest(codec.name_bytes(_last_name(item)))
        if count >= codec.NODE_ITEMS or not (hashed >> shift) & 0xFF:
            yield items[start:end]
            start = end
    if start < len(items) or not items:
        yield items[start:]


def write_tree(files: Iterable[tuple[str, Entry]], put: Put) -> TreeSummary:
    """Store a whole tree given as files.

    Args:
        files: path and entry each, in any order; the entry's name is the path's last component.
        put: stores a node.

    Raises:
        Conflict: a path is given twice, or is both a file and a directory.
        LimitExceeded: a path is too deep.
    """
    root: Nested = {}
    for path, entry in files:
        *parents, name = path.split("/")
        if len(parents) >= names.PATH_DEPTH:
            raise LimitExceeded(f"path deeper than {names.PATH_DEPTH}: {path[:200]!r}")
        here = root
        for parent in parents:
            below = here.setdefault(parent, {})
            if not isinstance(below, dict):
                raise Conflict(f"{path!r} has a file where it needs a directory")
            here = below
        if name in here:
            raise Conflict(f"two files want the path {path!r}")
        here[name] = entry

    def store(directory: Nested) -> TreeSummary:
        return write_directory(
            [
                directory_entry(name, store(item)) if isinstance(item, dict) else item
                for name, item in directory.items()
            ],
            put,
        )

    return store(root)


def read_node(tree: Id, get: Get) -> TreeNode:
    """One node of a directory.  Raises Damaged (MalformedObject) for bad bytes."""
    return codec.decode_tree(get(Kind.TREE, tree))


def iterate(tree: Id, get: Get) -> Iterator[Entry]:
    """The entries of one directory in order of their names' bytes."""
    for node in _leaves(read_node(tree, get), get):
        yield from node.entries


def _leaves(node: TreeNode, get: Get) -> Iterator[TreeNode]:
    if node.level == 0:
        yield node
        return
    for child in node.children:
        yield from _leaves(_child(node, child, get), get)


def _child(node: TreeNode, child: Child, get: Get) -> TreeNode:
    """A node's child, which must be one level down and end with the name that the node says."""
    below = read_node(child.id, get)
    items = below.children or below.entries
    if below.level != node.level - 1 or not items or _last_name(items[-1]) != child.last:
        raise MalformedObject(f"tree node {child.id.short} does not fit its parent")
    return below


def walk(tree: Id, get: Get, *, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """All files, links and references below a tree, with their paths, directory by directory.

    Args:
        tree: root of the tree.
        get: reads a node.
        prefix: put before each path, with its slash.

    Raises:
        LimitExceeded: the tree is too deep (a hostile tree may be).
    """
    if prefix.count("/") > names.PATH_DEPTH:
        raise LimitExceeded(f"tree deeper than {names.PATH_DEPTH}: {prefix[:200]!r}")
    for entry in iterate(tree, get):
        if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
            yield from walk(entry.id, get, prefix=f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


def find(tree: Id, path: str, get: Get) -> Entry | None:
    """The entry at a path, or None.  "" is no entry: the root has no name."""
    *parents, name = path.split("/")
    for parent in parents:
        entry = _find_name(tree, parent, get)
        if entry is None or entry.kind != EntryKind.DIRECTORY or entry.id is None:
            return None
        tree = entry.id
    return _find_name(tree, name, get)


def _find_name(tree: Id, name: str, get: Get) -> Entry | None:
    wanted = codec.name_bytes(name)
    node = read_node(tree, get)
    while node.level:
        child = next((one for one in node.children if codec.name_bytes(one.last) >= wanted), None)
        if child is None:
            return None
        node = _child(node, child, get)
    return next((entry for entry in node.entries if entry.name == name), None)


def compare(old: Id | None, new: Id | None, get: Get, *, prefix: str = "") -> Iterator[Change]:
    """What differs between two trees, file by file, without reading what they share.

    Args:
        old, new: roots; None is the empty tree.
        get: reads a node.
        prefix: put before each path, with its slash.
    """
    if old == new:
        return
    if prefix.count("/") > names.PATH_DEPTH:
        raise LimitExceeded(f"tree deeper than {names.PATH_DEPTH}: {prefix[:200]!r}")
    left, right = _differing_entries(old, new, get)
    for name in sorted(left.keys() | right.keys(), key=codec.name_bytes):
        before, after = left.get(name), right.get(name)
        if before == after:
            continue
        path = prefix + name
        trees = [_tree_of(before), _tree_of(after)]
        if trees[0] is not None or trees[1] is not None:
            yield from compare(trees[0], trees[1], get, prefix=f"{path}/")
        before = before if trees[0] is None else None
        after = after if trees[1] is None else None
        if before != after:
            yield Change(path, before, after)


def _tree_of(entry: Entry | None) -> Id | None:
    return entry.id if entry is not None and entry.kind == EntryKind.DIRECTORY else None


def _differing_entries(old: Id | None, new: Id | None, get: Get) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """The entries of two directories less those in nodes that both have."""
    before = _node_set([old] if old else [], get)
    after = _node_set([new] if new else [], get)
    while any(isinstance(one, Child) for one in (*before.values(), *after.values())):
        shared = before.keys() & after.keys()
        before = _open_inner({key: one for key, one in before.items() if key not in shared}, get)
        after = _open_inner({key: one for key, one in after.items() if key not in shared}, get)
    return (
        {one.name: one for one in before.values() if isinstance(one, Entry)},
        {one.name: one for one in after.values() if isinstance(one, Entry)},
    )


def _node_set(roots: Sequence[Id], get: Get) -> dict[Id | Entry, Child | Entry]:
    return _opened([read_node(root, get) for root in roots])


def _opened(nodes: Iterable[TreeNode]) -> dict[Id | Entry, Child | Entry]:
    found: dict[Id | Entry, Child | Entry] = {}
    for node in nodes:
        found.update((child.id, child) for child in node.children)
        found.update((entry, entry) for entry in node.entries)
    return found


def _open_inner(items: dict[Id | Entry, Child | Entry], get: Get) -> dict[Id | Entry, Child | Entry]:
    kept: dict[Id | Entry, Child | Entry] = {key: one for key, one in items.items() if isinstance(one, Entry)}
    kept.update(_opened(read_node(one.id, get) for one in items.values() if isinstance(one, Child)))
    return kept


def slices(content: Content, get: Get, *, start: int = 0, stop: int | None = None) -> Iterator[Slice]:
    """The chunks of a file that overlap a range, in order.

    Args:
        content: of the file.
        get: reads a node.
        start, stop: bytes; stop None is the end.

    Raises:
        Damaged: the chunk list does not have the size that the content says.
    """
    stop = content.size if stop is None else min(stop, content.size)
    if content.kind == EntryKind.CHUNK:
        yield Slice(0, content.size, content.id)
        return
    root = codec.decode_blob(get(Kind.BLOB, content.id))
    if root.size != content.size:
        raise Damaged(f"chunk list {content.id.short} is of {root.size} bytes, not of {content.size}")
    yield from _slices(root, 0, start, stop, get)


def _slices(node: BlobNode, offset: int, start: int, stop: int, get: Get) -> Iterator[Slice]:
    for part in node.parts:
        end = offset + part.size
        if offset < stop and end > start:
            if node.level == 0:
                yield Slice(offset, part.size, part.id)
            else:
                yield from _slices(_part(node, part, get), offset, start, stop, get)
        offset = end


def _part(node: BlobNode, part: Part, get: Get) -> BlobNode:
    below = codec.decode_blob(get(Kind.BLOB, part.id))
    if below.level != node.level - 1 or below.size != part.size:
        raise MalformedObject(f"chunk list {part.id.short} does not fit its parent")
    return below
