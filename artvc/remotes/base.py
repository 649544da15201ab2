"""What a remote is: a place that keeps packs and a ref log, and lets one writer at a time add to the log.

A remote knows nothing of artifacts.  It holds

* *data packs*: immutable, large; what files are made of,
* the *index* of each data pack (the pack's own last bytes), so that who has the history knows which pack holds what,
* *metadata packs*: immutable; trees, artifacts, commits, properties,
* the *ref log*: numbered transactions as ``docs/format-refs.md`` has them.

Writing goes in this order: data packs by :meth:`Remote.upload` (many at a time, each by itself, any number of times),
then everything else by one :meth:`Remote.publish`, which either adds the next transaction or finds that somebody
else did.  Whoever is cut off runs again: what arrived is not sent twice, and what nothing refers to harms nobody.

Nothing that a remote says is trusted here or above: bytes are passed on with the limits that the reader gives, and
``artvc.sync`` checks all of them in quarantine before they count.
"""

import enum
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from artvc.model.ids import Id


class PieceKind(enum.Enum):
    """What a piece of a remote's history is."""

    CHECKPOINT = "checkpoint"  # all refs after a transaction, in place of the transactions up to it
    TRANSACTION = "transaction"  # a file of the ref log
    METADATA = "metadata"  # a metadata pack
    INDEX = "index"  # the end of a data pack, from its index on
    GONE = "gone"  # a pack that the reader knows of and that is there no more
    TOKEN = "token"  # what the remote wants to be given next time


class Piece(NamedTuple):
    """One piece of a remote's history.

    Attributes:
        kind: what it is.
        number: of the transaction or checkpoint; 0 for others.
        id: of the pack; None for others.
        data: its bytes, to be read before the next piece is asked for.  The reader counts and stops; a remote that
            sends more than it should costs no memory.
    """

    kind: PieceKind
    number: int
    id: Id | None
    data: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a reader has of a remote's history already.

    Attributes:
        number: of the last transaction; 0 is none.
        head: its id; None where that is not known.
        metadata: ids of metadata packs.
        indexes: ids of data packs whose index is there.
        token: the last :attr:`PieceKind.TOKEN`; b"" where there was none.
    """

    number: int = 0
    head: Id | None = None
    metadata: Set[Id] = frozenset()
    indexes: Set[Id] = frozenset()
    token: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A pack on its way to a remote.

    Attributes:
        id: of the pack; a metadata or a data pack as the place says where it is passed.
        size: bytes.
        open: gives the pack's bytes, from the start, each time it is called.
        index: bytes from the index on to the end.
    """

    id: Id
    size: int
    open: Callable[[], BinaryIO]
    index: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What one push makes visible.

    Attributes:
        number: that of the transaction.
        transaction: the file: two lines, as in a repository's ``refs/``.
        previous: id of the transaction before (its second line), None for the first.
        metadata: metadata packs.
        indexes: data packs, all of them uploaded, whose index goes with it.
        checkpoint: the file of a checkpoint after this transaction, None where none is due; a remote may pass over it.
    """

    number: int
    transaction: bytes
    previous: Id | None
    metadata: Sequence[Upload] = ()
    indexes: Sequence[Upload] = ()
    checkpoint: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a remote turned out to be able to do.

    Attributes:
        many_writers: two that publish at once can't both believe that they were first.
        writable: it can be written.
        warnings: lines for the user, such as that plain clones will download the data.
    """

    many_writers: bool
    writable: bool = True
    warnings: tuple[str, ...] = ()


class Remote(Protocol):
    """A place to share a repository through.

    Methods may be called from several threads at once, but for :meth:`history`, :meth:`publish` and :meth:`close`.

    All of them raise ``RemoteError`` for what the network or the other side did (a hint says what to do),
    ``RemoteDenied`` where credentials are missing or too weak, ``NotFound`` where there is nothing at the address, and
    ``Damaged`` where the answer breaks the protocol.  Transient failures were tried again with growing pauses before.

    Attributes:
        url: where, without credentials.
        ranged: whether a part of a pack costs a part of its bytes.
    """

    url: str
    ranged: bool

    def probe(self) -> Capabilities:
        """Find out what it can do, leaving nothing behind; asked once, by ``artvc remote add`` or the first push."""
        ...

    def history(self, known: Known) -> Iterator[Piece]:
        """Everything but data packs that a reader lacks.

        Pieces come in the order: checkpoint, transactions by number, metadata packs, indexes, gone, token.  All that
        a transaction refers to, which the reader lacks, comes with it.  An empty remote has no pieces.

        Raises:
            RemoteError: also where the last transaction that the reader has is not there, or is another one.
        """
        ...

    def packs(self) -> Set[Id]:
        """The data packs that are there, published or not."""
        ...

    def upload(self, pack: Upload) -> None:
        """Put a data pack there, durably; one that is there already is left alone."""
        ...

    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a data pack from ``start`` on, to ``end`` (the end of the pack where None).

        Where not :attr:`ranged`, the bytes before and behind travel too and are left out.

        Raises:
            NotFound: there is no such pack.
        """
        ...

    def publish(self, publication: Publication) -> bool:
        """Make metadata and indexes durable there, then the transaction; False: its number is taken, nothing counts.

        Raises:
            RemoteError: also where the answer was lost; whether it counts is then seen by reading the history.
        """
        ...

    def close(self) -> None:
        """End connections."""
        ...
