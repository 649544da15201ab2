"""What lies where in a git repository that is a remote (``docs/format-git.md``).

    ROOT/packs/<hh>/<id>   one ref for each data pack: a commit, its tree, one blob ``pack``
    ROOT/meta              a chain of commits, one for each transaction of the ref log, the newest one first

``ROOT`` is ``refs/artvc``, which plain clones leave alone; on hosts that refuse it ``refs/heads/artvc``.

The tree of a commit of the chain holds what its transaction brought and nothing else, under the names that a bucket
has: ``format``, ``refs/<20 digits>.json``, ``meta/<id>.pack``, ``index/<id>.index``.  So adding to the chain needs
nothing of it but its newest commit, and who has everything up to a commit gets the rest by naming that commit, with no
repository of git's on this side.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from artvc.errors import Damaged
from artvc.model.ids import Id, transaction_id
from artvc.remotes.base import Publication, Upload
from artvc.remotes.git.objects import (
    BLOB,
    STORED_PIECE,
    Entry,
    GitObject,
    Limits,
    commit,
    padding,
    streamed,
    tree,
    whole,
)
from artvc.remotes.git.wire import Objects
from artvc.repo import check_format, format_file
from artvc.store.packs import DATA, HEADER_BYTES, META
from artvc.store.refs import TRANSACTION_BYTES

PACK_NAME: Final = b"pack"
FORMAT_NAME: Final = b"format"
_TRANSACTIONS, _METADATA, _INDEXES = b"refs", b"meta", b"index"
_TIME: Final = 946_684_800  # of all commits, that is of none: ids depend on contents alone
_DIGITS: Final = 20
_CONTENT_AT: Final = 9
_SMALL: Final = 1024 * 1024  # a push with fewer bytes need not be padded
_FORMAT_BYTES: Final = 64 * 1024

PACK_BYTES: Final = 256 * 1024 * 1024  # packs are at most 32 MiB but for a single larger record
DATA_LIMITS: Final = Limits(
    bytes=PACK_BYTES + 1024 * 1024, objects=1000, object_bytes=PACK_BYTES, total_bytes=2 * PACK_BYTES
)
META_LIMITS: Final = Limits(
    bytes=8 * 1024**3, objects=4_000_000, object_bytes=128 * 1024 * 1024, total_bytes=16 * 1024**3
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the refs.

    Attributes:
        root: what they begin with.
    """

    root: bytes

    @property
    def meta(self) -> bytes:
        """The chain."""
        return self.root + b"/meta"

    @property
    def packs(self) -> bytes:
        """What the names of data packs begin with."""
        return self.root + b"/packs/"

    def pack(self, pack: Id) -> bytes:
        """A data pack."""
        name = pack.hex().encode()
        return b"%s%s/%s" % (self.packs, name[:2], name)

    def probe(self, name: str) -> bytes:
        """A ref that is made to see whether that can be done."""
        return b"%s/probe/%s" % (self.root, name.encode())

    def pack_of(self, ref: bytes) -> Id | None:
        """The data pack of a ref; None where it is the ref of none."""
        rest = ref.removeprefix(self.packs)
        shard, _, name = rest.partition(b"/")
        if rest == ref or len(name) != 64 or name[:2] != shard:
            return None
        try:
            return Id.parse(name.decode())
        except ValueError:
            return None


CUSTOM: Final = Names(b"refs/artvc")
BRANCHES: Final = Names(b"refs/heads/artvc")
ROOTS: Final = (CUSTOM, BRANCHES)


# -- data packs --------------------------------------------------------------------------------------------


def data_pack(pack: Upload) -> tuple[bytes, list[GitObject]]:
    """The commit that a data pack becomes, and all objects to be sent, padded.

    Raises:
        Damaged: the pack is not what it should be.
    """
    blob = _pack_blob(pack, DATA)
    made = tree([Entry(PACK_NAME, False, blob.id)])
    top = commit(made.id, None, f"pack {pack.id.hex()}", time=_TIME)
    objects = [top, made, blob]
    return top.id, objects + padding(len(objects))


def pack_blob(objects: Objects, wanted: bytes) -> Iterator[bytes]:
    """The bytes of a data pack.  Arguments and failures as of :func:`pack_blob_id`."""
    data = objects.blob(pack_blob_id(objects, wanted))
    if data is None:
        raise _no_pack(wanted)
    return data


def pack_blob_id(objects: Objects, wanted: bytes) -> bytes:
    """The id of the blob that is a data pack.

    Args:
        objects: where it is.
        wanted: id of its commit.

    Raises:
        Damaged: what is there is no pack.
    """
    top = objects.commit(wanted)
    entries = objects.tree(top.tree) if top is not None else None
    found = next((one for one in entries or () if one.name == PACK_NAME and not one.is_tree), None)
    if found is None:
        raise _no_pack(wanted)
    return found.id


def _no_pack(wanted: bytes) -> Damaged:
    return Damaged(f"git commit {wanted.decode()} holds no pack")


def _pack_blob(pack: Upload, content: int) -> GitObject:
    head = b""
    with pack.open() as source:
        while len(head) < HEADER_BYTES and (piece := source.read(HEADER_BYTES - len(head))):
            head += piece
    if pack.size > PACK_BYTES or head[_CONTENT_AT:][:1] != bytes([content]):
        kind = "data" if content == DATA else "metadata"
        raise Damaged(f"{pack.id.short} is no {kind} pack of {pack.size} bytes, of which there may be {PACK_BYTES}")
    return streamed(BLOB, pack.size, partial(_chunks, pack))


def _chunks(pack: Upload) -> Iterator[bytes]:
    with pack.open() as source:
        while piece := source.read(STORED_PIECE):
            yield piece


# -- the chain ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of the chain.

    Attributes:
        commit: its id.
        parent: of the commit before; None of the first.
        number: of its transaction.
        transaction: id of the blob of it.
        metadata, indexes: ids of the blobs of packs and of ends of packs.
    """

    commit: bytes
    parent: bytes | None
    number: int
    transaction: bytes
    metadata: Mapping[Id, bytes] = field(default_factory=dict)
    indexes: Mapping[Id, bytes] = field(default_factory=dict)


def publication(one: Publication, parent: bytes | None) -> tuple[bytes, list[GitObject]]:
    """The commit that a publication becomes, and all objects to be sent.

    Raises:
        Damaged: something of it is not what it should be.
    """
    log = whole(BLOB, one.transaction)
    form = whole(BLOB, format_file())
    packs = {b"%s.pack" % pack.id.hex().encode(): _pack_blob(pack, META) for pack in one.metadata}
    ends = {b"%s.index" % pack.id.hex().encode(): whole(BLOB, pack.index) for pack in one.indexes}
    parts = [
        (_TRANSACTIONS, {b"%020d.json" % one.number: log}),
        *([(_METADATA, packs)] if packs else []),
        *([(_INDEXES, ends)] if ends else []),
    ]
    blobs = {blob.id: blob for _, part in parts for blob in part.values()} | {form.id: form}
    directories = [(name, tree(Entry(member, False, blob.id) for member, blob in part.items())) for name, part in parts]
    top = tree([Entry(FORMAT_NAME, False, form.id), *(Entry(name, True, made.id) for name, made in directories)])
    # Later ones have later times, for git walks history by them.
    last = commit(top.id, parent, f"transaction {one.number}", time=_TIME + one.number)
    objects = [last, top, *(made for _, made in directories), *blobs.values()]
    if sum(made.size for made in objects) > _SMALL:
        objects += padding(len(objects))
    return last.id, objects


def chain(objects: Objects, tip: bytes, *, stop: bytes | None = None, most: int | None = None) -> list[Step]:
    """Commits of the chain, the oldest one first.

    Args:
        objects: where they are.
        tip: the newest.
        stop: a commit that ends them and is not among them.
        most: how many are wanted.

    Raises:
        Damaged: it is malformed, or goes on where nothing came.
    """
    found: list[Step] = []
    forms: set[bytes] = set()
    wanted: bytes | None = tip
    while wanted is not None and wanted != stop and (most is None or len(found) < most):
        step = _step(objects, wanted, forms)
        if found and step.number + 1 != found[-1].number:
            raise Damaged(f"transaction {step.number} lies behind {found[-1].number}")
        found.append(step)
        wanted = step.parent
    if wanted is None and found and found[-1].number != 1:
        raise Damaged(f"the log begins with transaction {found[-1].number}")
    return found[::-1]


def _step(objects: Objects, wanted: bytes, forms: set[bytes]) -> Step:
    top = objects.commit(wanted)
    entries = objects.tree(top.tree) if top is not None else None
    if top is None or entries is None or len(top.parents) > 1:
        raise Damaged(f"git commit {wanted.decode()} is missing, or no part of a log")
    parts = {one.name: one for one in entries}
    _check_form(objects, parts.get(FORMAT_NAME), forms)
    log = _part(objects, parts.get(_TRANSACTIONS))
    if len(log) != 1:
        raise Damaged(f"git commit {wanted.decode()} has {len(log)} transactions")
    name, blob = next(iter(log.items()))
    digits = name.removesuffix(b".json")
    if len(digits) != _DIGITS or not digits.isdigit() or digits == name:
        raise Damaged(f"git commit {wanted.decode()} has no transaction")
    return Step(
        wanted,
        top.parents[0] if top.parents else None,
        int(digits),
        blob,
        _ids(_part(objects, parts.get(_METADATA)), b".pack"),
        _ids(_part(objects, parts.get(_INDEXES)), b".index"),
    )


def _check_form(objects: Objects, entry: Entry | None, seen: set[bytes]) -> None:
    """Whether a commit is of this version.  Raises UnsupportedFormat, Damaged."""
    if entry is None:
        raise Damaged("a git commit of a log has no format")
    if entry.id not in seen:
        # Where it did not come, the commits that did not come either have the same, and were looked at.
        data = objects.blob(entry.id)
        if data is not None:
            check_format(read_blob(data, _FORMAT_BYTES), "format")
        seen.add(entry.id)


def _part(objects: Objects, entry: Entry | None) -> dict[bytes, bytes]:
    """Names and ids of the blobs of a directory; of none, nothing."""
    if entry is None:
        return {}
    entries = objects.tree(entry.id)
    if entries is None:
        # Git leaves out what the named commit has; a later commit with the very same packs is no news.
        return {}
    return {one.name: one.id for one in entries if not one.is_tree}


def _ids(blobs: Mapping[bytes, bytes], suffix: bytes) -> dict[Id, bytes]:
    found = {}
    for name, blob in blobs.items():
        digits = name.removesuffix(suffix)
        if digits == name or len(digits) != 64:
            raise Damaged("a git commit of a log has what is no pack")
        try:
            found[Id.parse(digits.decode())] = blob
        except ValueError as exc:
            raise Damaged("a git commit of a log has what is no pack") from exc
    return found


def read_blob(data: Iterator[bytes], limit: int) -> bytes:
    """The bytes of a blob.  Raises Damaged where there are more than ``limit``."""
    found = bytearray()
    for piece in data:
        found += piece
        if len(found) > limit:
            raise Damaged(f"something of more than {limit} bytes, which is the most that it may have")
    return bytes(found)


def read_transaction(objects: Objects, step: Step) -> bytes:
    """The file of a step's transaction.  Raises Damaged."""
    data = objects.blob(step.transaction)
    if data is None:
        raise Damaged(f"transaction {step.number} did not come")
    return read_blob(data, TRANSACTION_BYTES)


def id_of(transaction: bytes) -> Id:
    """The id of a transaction, by which the next one names it."""
    return transaction_id(transaction.partition(b"\n")[0])
