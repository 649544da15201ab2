"""What a git repository has to offer to be a remote: refs, objects that are read, and a push of one ref.

Two things offer it: a server over the network (``network``) and a repository on this machine (``local``).  All of
artvc's ideas of what lies where are in ``layout``, and all of git's formats in ``objects``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from artvc.remotes.git.objects import Commit, Entry, GitObject, Limits

# Picks from the refs that there are the id to fetch; None: nothing is to be fetched.
Choose = Callable[[Mapping[bytes, bytes]], bytes | None]


class Objects(Protocol):
    """Objects that can be read; ids are 40 hexadecimal digits.  All of them are checked against their ids."""

    def commit(self, wanted: bytes) -> Commit | None:
        """A commit; None where it is not there.  Raises Damaged, also where it is no commit."""
        ...

    def tree(self, wanted: bytes) -> Sequence[Entry] | None:
        """The entries of a tree; None where it is not there.  Raises Damaged, also where it is no tree."""
        ...

    def blob(self, wanted: bytes) -> Iterator[bytes] | None:
        """The bytes of a blob, in pieces; None where it is not there.  Raises Damaged, also where it is no blob."""
        ...


class Fetched(NamedTuple):
    """What a fetch gave.

    Attributes:
        refs: of the prefixes that were asked for: names and ids.
        wanted: the id that was chosen; None where nothing was.
        objects: what came; None where nothing was wanted.
    """

    refs: Mapping[bytes, bytes]
    wanted: bytes | None
    objects: Objects | None


@dataclass(frozen=True, slots=True)
class Update:
    """The move of a ref.

    Attributes:
        ref: its name, whole.
        old: what it has to be; None: it must not be there.
        new: what it becomes; None: it is removed.
    """

    ref: bytes
    old: bytes | None
    new: bytes | None


class Moved(Exception):  # noqa: N818 -- an answer, and it never leaves these modules
    """A ref is not what the update said that it has to be; nothing was changed.

    Args:
        found: what it is; None where it is not there, or not known.
    """

    def __init__(self, found: bytes | None) -> None:
        super().__init__("the ref has moved")
        self.found = found


class Refused(Exception):  # noqa: N818 -- an answer, and it never leaves these modules
    """The server took the objects and did not move the ref.

    Args:
        why: its words, printable, one line.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Wire(Protocol):
    """A git repository.  Methods may be called from several threads.

    They raise ``RemoteError``, ``RemoteDenied``, ``NotFound`` (no repository there) and ``Damaged`` as
    :class:`artvc.remotes.base.Remote` says.

    Attributes:
        url: without credentials.
        host: its name, for what is known of some hosts; "" for this machine.
        excludes: whether of two who move a ref at once only one can succeed; of a server, what the last push showed.
    """

    url: str
    host: str
    excludes: bool

    def refs(self, *prefixes: bytes) -> Mapping[bytes, bytes]:
        """The refs whose names begin with one of some prefixes, and their ids."""
        ...

    def fetch(
        self,
        prefixes: Sequence[bytes],
        choose: Choose,
        *,
        limits: Limits,
        have: bytes | None = None,
        depth: int | None = None,
    ) -> AbstractContextManager[Fetched]:
        """Look at refs and read what one of them leads to, all on one connection.

        Args:
            prefixes: of the refs that ``choose`` is given.
            choose: says what is wanted; may be called again when a failed try is repeated.
            limits: of what comes.
            have: a commit whose objects need not come; they may come all the same, or be there (of a repository on
                this machine all are).
            depth: commits to go back, where that can be limited; more may come.
        """
        ...

    def push(self, update: Update, objects: Sequence[GitObject]) -> None:
        """Store objects durably and then move a ref, in one step that nobody else's can get into.

        Args:
            update: the move; compared and changed at once.
            objects: what the new value leads to and is not there; their chunks are read once more here.

        Raises:
            Moved: the ref is not ``update.old``.
            Refused: the move was declined.
            RemoteError: also where the answer was lost.
        """
        ...

    def close(self) -> None:
        """End connections."""
        ...
