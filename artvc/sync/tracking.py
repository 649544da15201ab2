"""What this repository knows of a remote: ``.artvc/remotes/<name>/``.

    refs/      a copy of the remote's ref log
    data/      the index of each of its data packs, under the pack's name
    metadata/  the same of its metadata packs, whose objects are in this repository
    sent/      the index of each data pack that workers put there and that no push has published yet
    base       the refs that both sides agreed on when they were merged last (as a checkpoint)
    token      what the remote wants to be given back, and a hash of the packs noted when it was
    unreached  ids of metadata objects that the remote's names did not lead to: below them nothing was looked at

All but the base and ``sent`` can be had again from the remote; so nothing but those and where data lies is made
durable, and what is damaged is dropped and fetched anew.  Where it is stale, more is sent or asked for than would be
needed, never less: a push looks at the remote first.  Several processes may fetch and merge at once: a merge keeps to
one copy of the remote's refs, and what was agreed on only goes forward.
"""

import contextlib
import os
from collections.abc import Iterator, Set
from typing import Final

from blake3 import blake3

from artvc.errors import Damaged, NotFound, StorageError
from artvc.model.ids import ID_SIZE, Id, Kind
from artvc.model.objects import JsonObject
from artvc.remotes.base import Known
from artvc.repo import Repository
from artvc.settings import lookup
from artvc.store.index import PackIndex
from artvc.store.packs import END_BYTES, PACK_SUFFIX, PackEnd, Place, index_places, read_end
from artvc.store.refs import (
    CHECKPOINT_BYTES,
    RefLog,
    RefState,
    encode_checkpoint,
    read_checkpoint,
    read_transaction,
)

DIRECTORY: Final = "remotes"
DEFAULT: Final = "origin"
_TOKEN_BYTES: Final = 64 * 1024
_UNREACHED_BYTES: Final = 256 * 1024 * 1024
_ENDS_KEPT: Final = 64


class Tracking:
    """The notes about one remote.

    Args:
        repo: this repository.
        name: of the remote.
    """

    def __init__(self, repo: Repository, name: str) -> None:
        self.name = name
        self._disk = repo.disk
        self._root = str(repo.dir / DIRECTORY / name)
        self._parent = str(repo.dir / DIRECTORY)
        self._tmp = str(repo.dir / "tmp")
        self.log = RefLog(repo.disk, self._root)
        self.data = self._index("data")
        self.metadata = self._index("metadata")
        self._sent = self._index("sent")
        self._ends: dict[str, PackEnd] = {}
        self._loaded = False

    def _index(self, what: str) -> PackIndex:
        cache = os.path.join(self._root, f"{what}-index")
        return PackIndex(self._disk, packs=self._path(what), cache=cache, tmp=self._tmp, ends=True)

    def _path(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    def make(self) -> None:
        """Make the directories."""
        for path in (self._parent, self._root, *map(self._path, ("refs", "tmp", "data", "metadata", "sent"))):
            self._disk.ensure_dir(path)

    @property
    def exists(self) -> bool:
        """Whether there are notes."""
        return all(os.path.isdir(self._path(what)) for what in ("refs", "data", "metadata"))

    def load(self) -> None:
        """Take up what is on disk; what is damaged is dropped."""
        if self._loaded or not self.exists:
            return
        try:
            self.log.state()
        except Damaged:  # where data lies stays known
            self._forget_log()
        self.data.refresh()
        self.metadata.refresh()
        self._refresh_sent()
        self._loaded = True

    def refresh(self) -> None:
        """Look which packs were noted or forgotten since, by whomever."""
        self.load()
        if self.exists:
            self.data.refresh()
            self.metadata.refresh()
            self._refresh_sent()

    def _refresh_sent(self) -> None:
        if os.path.isdir(self._path("sent")):
            self._sent.refresh()

    def state(self) -> RefState:
        """The remote's refs, as they were when it was looked at last."""
        self.load()
        return self.log.state() if self.exists else RefState()

    def snapshot(self) -> RefState:
        """A copy of :meth:`state`, which does not move on when another process fetches."""
        return copied(self.state())

    def accept(self, number: int, data: bytes) -> None:
        """Take up a transaction of the remote, unless another process did.

        Raises:
            Damaged: it does not follow the last one, or another one has its number.
        """
        if number > self.state().number:
            self.log.accept(number, data)
            return
        with contextlib.suppress(FileNotFoundError):  # a checkpoint may stand in its place
            if self.log.read(number).id != read_transaction(number, data).id:
                raise Damaged(f"transaction {number} is another one than it was")

    def accept_checkpoint(self, number: int, data: bytes) -> None:
        """Take up a checkpoint of the remote, unless another process did.  Raises Damaged."""
        if number > self.state().number:
            self.log.accept_checkpoint(number, data)

    def known(self) -> Known:
        """What need not be fetched again."""
        self.load()
        if not self.exists:
            return Known()
        token = b""
        with contextlib.suppress(FileNotFoundError, StorageError):
            found = self._disk.read_file(self._path("token"), limit=_TOKEN_BYTES + ID_SIZE)
            # A power cut may have left the token and taken what it stands for.
            token = found[ID_SIZE:] if found[:ID_SIZE] == self._packs_noted() else b""
        state = self.log.state()
        return Known(
            number=state.number,
            head=state.head,
            metadata=frozenset(map(Id.parse, self.metadata.packs)),
            indexes=frozenset(map(Id.parse, self.data.packs)),
            token=token,
        )

    def _packs_noted(self) -> bytes:
        return blake3("\n".join(sorted(self.metadata.packs | self.data.packs)).encode()).digest()

    def forget(self) -> None:
        """Drop all notes, but for what both sides agreed on and what workers sent."""
        self._empty("data", "metadata", "data-index", "metadata-index")
        self._disk.discard(self._path("unreached"))
        self._forget_log()
        self.data, self.metadata = self._index("data"), self._index("metadata")
        self._ends.clear()
        self._loaded = False

    def _forget_log(self) -> None:
        self._empty("refs")
        self._disk.discard(self._path("token"))
        self.log = RefLog(self._disk, self._root)

    def _empty(self, *directories: str) -> None:
        for what in directories:
            with contextlib.suppress(FileNotFoundError):
                for name in self._disk.listdir(self._path(what)):
                    self._disk.discard(self._path(what, name))

    def remove(self) -> None:
        """Drop everything about the remote."""
        self.forget()
        self._disk.discard(self._path("base"))
        for pack in self.sent():
            self.drop_sent(pack)
        for what in ("refs", "data", "metadata", "sent", "data-index", "metadata-index", "sent-index", "tmp", ""):
            with contextlib.suppress(FileNotFoundError, StorageError):
                self._disk.rmdir(self._path(what))

    def take_index(self, pack: Id, end: bytes, *, metadata: bool) -> None:
        """Note what a pack of the remote holds.

        Raises:
            Damaged: the index is not whole.
        """
        _check_end(pack, end, metadata=metadata)
        where = "metadata" if metadata else "data"
        # Our names may soon need chunks of which only this note knows where they are.
        durable = not metadata
        self._disk.write_file(self._path(where, pack.hex() + PACK_SUFFIX), end, tmp=self._tmp, durable=durable)

    def drop_index(self, pack: Id) -> None:
        """Note that the remote has a pack no more."""
        for where in ("data", "metadata"):
            self._disk.discard(self._path(where, pack.hex() + PACK_SUFFIX))

    # -- what workers sent ---------------------------------------------------------------------------------

    def sent(self) -> Set[Id]:
        """The data packs that workers put there and that no push has published yet."""
        if not os.path.isdir(self._path("sent")):
            return frozenset()
        self._sent.refresh()
        return frozenset(map(Id.parse, self._sent.packs))

    def note_sent(self, pack: Id, end: bytes) -> None:
        """Note, durably, what a data pack holds that a worker put there; :meth:`took` makes it count.

        Raises:
            Damaged: the index is not whole.
        """
        _check_end(pack, end, metadata=False)
        self._disk.write_file(self._path("sent", pack.hex() + PACK_SUFFIX), end, tmp=self._tmp, durable=True)

    def drop_sent(self, pack: Id) -> None:
        """Note that a pack is published, or that nothing needs it."""
        self._disk.discard(self._path("sent", pack.hex() + PACK_SUFFIX))

    def took(self, token: bytes | None) -> None:
        """All that came is noted: look it up from now on, and keep the remote's token."""
        self.data.refresh()
        self.metadata.refresh()
        self._refresh_sent()
        if token is not None:
            self._disk.write_file(self._path("token"), self._packs_noted() + token, tmp=self._tmp, durable=False)

    def unreached(self) -> set[bytes]:
        """Metadata objects of the remote that its names did not lead to when they came."""
        try:
            raw = self._disk.read_file(self._path("unreached"), limit=_UNREACHED_BYTES)
        except (FileNotFoundError, StorageError):
            return set()
        return {raw[at : at + ID_SIZE] for at in range(0, len(raw), ID_SIZE)}

    def note_unreached(self, found: set[bytes]) -> None:
        """Replace what :meth:`unreached` gives."""
        if found != self.unreached():
            self._disk.write_file(self._path("unreached"), b"".join(sorted(found)), tmp=self._tmp, durable=False)

    def has(self, kind: Kind, wanted: bytes) -> bool:
        """Whether the remote has an object."""
        self.load()
        if kind == Kind.CHUNK:
            return self.place(wanted) is not None
        return self.exists and self.metadata.find(wanted) is not None

    def published(self, wanted: bytes) -> bool:
        """Whether a published pack of the remote has an object, of whatever kind."""
        self.load()
        return (self.data.find(wanted) or self.metadata.find(wanted)) is not None

    def place(self, chunk: bytes) -> Place | None:
        """Where the remote has a chunk, published or not, or None."""
        self.load()
        return (self.data.find(chunk) or self._sent.find(chunk)) if self.exists else None

    def end(self, pack: str) -> PackEnd:
        """What a data pack of the remote ends with.

        Raises:
            NotFound, Damaged: it is not noted, or no longer whole.
        """
        if pack not in self._ends:
            raw = self.raw_end(pack)
            while len(self._ends) >= _ENDS_KEPT:
                del self._ends[next(iter(self._ends))]
            self._ends[pack] = read_end(pack, raw)
        return self._ends[pack]

    def raw_end(self, pack: str) -> bytes:
        """The bytes that a data pack of the remote ends with, as they are noted.  Raises NotFound."""
        for where in ("data", "sent"):
            with contextlib.suppress(FileNotFoundError):
                return self._disk.read_file(self._path(where, pack + PACK_SUFFIX), limit=END_BYTES)
        raise NotFound(f"the index of pack {pack[:12]} of {self.name} is not here")

    # -- what both sides agreed on ------------------------------------------------------------------------

    def base(self) -> tuple[int, dict[str, JsonObject]]:
        """The refs of the last merge, and the number of the remote's last transaction then.

        0 and {} where there was none, or the note is damaged.
        """
        try:
            raw = self._disk.read_file(self._path("base"), limit=CHECKPOINT_BYTES)
            number = int.from_bytes(raw[:8], "big")
            return number, read_checkpoint(number, raw[8:]).refs
        except (FileNotFoundError, StorageError, Damaged):
            return 0, {}

    def agree(self, theirs: RefState) -> None:
        """Note that this repository has merged the remote's refs as they were in a state.

        Without that note versions that were deleted would come back at the next merge, so it is durable.
        """
        if theirs.head is None or self.base()[0] >= theirs.number:  # another process may have got further
            return
        data = theirs.number.to_bytes(8, "big") + encode_checkpoint(theirs)
        self._disk.write_file(self._path("base"), data, tmp=self._tmp, durable=True)


def copied(state: RefState) -> RefState:
    """A copy of a state."""
    copy = RefState(number=state.number, head=state.head)
    for ref, value in state.refs.items():
        copy.set(ref, value)
    return copy


def _check_end(pack: Id, end: bytes, *, metadata: bool) -> None:
    """Whether the end of a pack is whole, and that of a metadata or data pack.  Raises Damaged."""
    for raw, kind in _kinds(read_end(pack.hex(), end)):
        if (kind == Kind.CHUNK) == metadata:
            raise Damaged(f"pack {pack.short} has {Kind(kind).word} {raw.hex()[:12]}, which does not belong there")


def _kinds(end: PackEnd) -> Iterator[tuple[bytes, int]]:
    return ((raw, place.kind) for raw, place in index_places("", end.entries))


# -- the configuration -------------------------------------------------------------------------------------


def names_of(repo: Repository) -> list[str]:
    """The names of the remotes, sorted."""
    section = repo.config.get("remote")
    if not isinstance(section, dict):
        return []
    return sorted(name for name, one in section.items() if isinstance(one, dict) and isinstance(one.get("url"), str))


def url_of(repo: Repository, name: str) -> str:
    """The address of a remote.

    Raises:
        NotFound: there is no remote of that name.
    """
    found = lookup(repo.config, f"remote.{name}.url")
    if found is None:
        known = names_of(repo)
        hint = f"there are: {', '.join(known)}" if known else "'artvc remote add origin URL' makes one"
        raise NotFound(f"no remote {name!r}", hint=hint)
    return found
