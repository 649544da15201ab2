"""The verbs of sharing, as the faces use them: remotes by name, push, pull, fetch, clone."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artvc import provenance
from artvc.errors import ArtvcError, Conflict, InvalidInput, NotFound
from artvc.model.ids import Id
from artvc.model.objects import Entry, EntryKind
from artvc.remotes import address as addresses
from artvc.remotes.address import Address, Surroundings
from artvc.remotes.base import Capabilities, Remote
from artvc.repo import DIRECTORY, Repository
from artvc.settings import Settings, lookup
from artvc.store.packs import PACK_SUFFIX
from artvc.store.refs import RefEdit
from artvc.sync.fetching import Fetched, fetch
from artvc.sync.joining import join
from artvc.sync.lending import Advance, Brought, Lender, entries_of
from artvc.sync.merging import Renumbered
from artvc.sync.pushing import Pushed, push
from artvc.sync.tracking import DEFAULT, Tracking, names_of, url_of

JOBS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteInfo:
    """A remote of a repository.

    Attributes:
        name, url: as it was added.
        transactions: of its log that are known; 0 where nothing was fetched yet.
    """

    name: str
    url: str
    transactions: int


@dataclass(slots=True, kw_only=True)
class Pulled:
    """What a pull did, or would do.

    Attributes:
        fetched: what came of history; None in a dry run that asked nothing.
        edits: the names that changed here.
        renumbered: our versions that got other numbers, because others had theirs.
        brought: data that came.
    """

    fetched: Fetched
    edits: tuple[RefEdit, ...] = ()
    renumbered: tuple[Renumbered, ...] = ()
    brought: Brought = field(default_factory=Brought)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How the verbs work.

    Attributes:
        environ: variables: credentials, endpoints, programs.
        now: the clock.
        jobs: transfers at once.
        planned, advance: called with bytes that will travel, and that did.
    """

    environ: Mapping[str, str]
    now: Callable[[], str]
    jobs: int = JOBS
    planned: Callable[[int], None] = lambda _: None
    advance: Advance = lambda _: None


# -- remotes -----------------------------------------------------------------------------------------------


def check_remote_name(name: str) -> str:
    """Return the name of a remote unchanged.  Raises InvalidInput."""
    if not name.replace("-", "").replace("_", "").isalnum() or name.startswith("-") or len(name) > 64:
        raise InvalidInput(f"not a name for a remote: {name[:80]!r}", hint="use letters, digits, - and _")
    return name


def list_remotes(repo: Repository) -> list[RemoteInfo]:
    """The remotes of a repository, by name."""
    return [
        RemoteInfo(name=name, url=url_of(repo, name), transactions=Tracking(repo, name).state().number)
        for name in names_of(repo)
    ]


def add_remote(
    repo: Repository, name: str, url: str, work: Work, *, base: Path, single_writer: bool = False, check: bool = True
) -> Capabilities:
    """Note a remote, after a look at what it can do.

    Args:
        repo: the repository.
        name: for it.
        url: its address, or a path.
        work: how.
        base: what a relative path starts from.
        single_writer: accept a store that can't tell which of two writers was first.
        check: False: don't ask it anything yet.

    Raises:
        Conflict: there is a remote of that name.
        InvalidInput: the address means nothing, or the store needs ``single_writer``.
        NotFound, RemoteError, RemoteDenied: it can't be reached.
    """
    check_remote_name(name)
    if name in names_of(repo):
        raise Conflict(
            f"there is a remote {name!r} already: {url_of(repo, name)}", hint=f"'artvc remote set-url {name} URL'"
        )
    found = addresses.parse(url, base=base)
    abilities = Capabilities(many_writers=True)
    if check:
        with _opened(repo, found, work) as remote:
            abilities = remote.probe()
    if not abilities.many_writers and not single_writer:
        raise InvalidInput(
            f"{found.url} can't tell which of two writers was first, so one would overwrite the other",
            hint="if you alone will ever push to it, add it with --single-writer",
        )
    repo.set_config(f"remote.{name}.url", found.url)
    return abilities


def set_url(repo: Repository, name: str, url: str, *, base: Path) -> str:
    """Change the address of a remote; returns the new one.  Raises NotFound, InvalidInput."""
    url_of(repo, name)
    found = addresses.parse(url, base=base)
    repo.set_config(f"remote.{name}.url", found.url)
    return found.url


def remove_remote(repo: Repository, name: str) -> None:
    """Forget a remote; what is there stays there.  Raises NotFound."""
    url_of(repo, name)
    Tracking(repo, name).remove()
    repo.set_config(f"remote.{name}.url", None)


def default_remote(repo: Repository) -> str:
    """The remote that is meant where none is named: ``origin``, else the only one.  Raises NotFound."""
    known = names_of(repo)
    if DEFAULT in known or not known:
        url_of(repo, DEFAULT)
        return DEFAULT
    if len(known) > 1:
        raise NotFound("which remote?", hint=f"there are: {', '.join(known)}")
    return known[0]


@contextlib.contextmanager
def connected(repo: Repository, name: str, work: Work) -> Iterator[Remote]:
    """The remote of a name, while it is used.  Raises NotFound, InvalidInput."""
    with _opened(repo, addresses.parse(url_of(repo, name), base=repo.root), work) as remote:
        yield remote


@contextlib.contextmanager
def _opened(repo: Repository, address: Address, work: Work) -> Iterator[Remote]:
    remote = addresses.open_remote(address, _surroundings(repo, work.environ))
    try:
        yield remote
    finally:
        remote.close()


def _surroundings(repo: Repository, environ: Mapping[str, str]) -> Surroundings:
    return Surroundings(disk=repo.disk, scratch=repo.dir / "tmp", environ=environ)


# -- the verbs ---------------------------------------------------------------------------------------------


def fetch_from(repo: Repository, name: str, work: Work) -> Fetched:
    """Look what a remote has: its names and history, no data.  Raises as :func:`artvc.sync.fetching.fetch`."""
    with connected(repo, name, work) as remote:
        return fetch(repo, Tracking(repo, name), remote, advance=work.advance)


def push_to(repo: Repository, name: str, work: Work, *, settled: Mapping[str, str], dry_run: bool = False) -> Pushed:
    """Bring a remote up to what is here.  Raises as :func:`artvc.sync.pushing.push`."""
    with connected(repo, name, work) as remote:
        return push(
            repo,
            Tracking(repo, name),
            remote,
            now=work.now,
            who=provenance.signature(repo.settings),
            settled=settled,
            dry_run=dry_run,
            jobs=work.jobs,
            planned=work.planned,
            advance=work.advance,
        )


def pull_from(
    repo: Repository,
    name: str,
    work: Work,
    *,
    references: Sequence[str] = (),
    paths: Sequence[str] = (),
    everything: bool = False,
    settled: Mapping[str, str],
    dry_run: bool = False,
) -> Pulled:
    """Bring what a remote has here: names and history, and data that is asked for.

    Args:
        repo: this repository.
        name: of the remote.
        work: how.
        references: versions whose data is to come, as typed.
        paths: only these files or directories of them.
        everything: the data of all versions, and of the files of all runs.
        settled: what becomes of aliases that both sides moved.
        dry_run: fetch, and only say what would change.

    Raises:
        Conflict: an alias was moved on both sides; nothing was changed.
        NotFound: no such version; or its data is nowhere.
        RemoteError, RemoteDenied, Damaged: by the remote.
    """
    tracking = Tracking(repo, name)
    with connected(repo, name, work) as remote:
        fetched = fetch(repo, tracking, remote, advance=work.advance)
    joined = join(
        repo,
        tracking,
        now=work.now(),
        who=provenance.signature(repo.settings),
        why=f"pull {name}",
        settled=settled,
        dry_run=dry_run,
    )
    report = Pulled(fetched=fetched, edits=joined.edits, renumbered=joined.renumbered)
    if dry_run:
        return report
    if everything or references:
        report.brought = bring(repo, work, references=references, paths=paths, everything=everything)
    return report


def bring(
    repo: Repository,
    work: Work,
    *,
    references: Sequence[str] = (),
    paths: Sequence[str] = (),
    everything: bool = False,
) -> Brought:
    """Have data here that lies on remotes.  Arguments and errors as for :func:`pull_from`."""
    versions = [repo.resolve(one) for one in references]
    wanted = []
    for one in versions:
        wanted += entries_of(repo, one.version, [*paths, *([one.path] if one.path else [])])
    if everything:
        for collection in repo.collections():
            for version in repo.versions(collection.project, collection.name):
                wanted += entries_of(repo, version)
        wanted += _files_of_runs(repo)
    with contextlib.closing(lender_of(repo, work)) as lender:
        return lender.bring_tree(wanted)


def _files_of_runs(repo: Repository) -> list[Entry]:
    found = []
    for run in repo.runs():
        files = repo.commit(run.commit).files
        if files is not None:
            found.append(Entry("", EntryKind.DIRECTORY, False, 0, 0, files))
    return found


def lender_of(repo: Repository, work: Work) -> Lender:
    """What brings data of this repository from its remotes."""
    surroundings = _surroundings(repo, work.environ)

    def open_remote(name: str) -> Remote:
        return addresses.open_remote(addresses.parse(url_of(repo, name), base=repo.root), surroundings)

    return Lender(repo, open_remote, jobs=work.jobs, planned=work.planned, advance=work.advance)


def on_a_remote(repo: Repository) -> Callable[[Id], bool]:
    """Says of chunks whether a remote had them when it was looked at last."""
    trackings = [Tracking(repo, name) for name in names_of(repo)]
    return lambda chunk: any(one.place(chunk) is not None for one in trackings)


def droppable(repo: Repository, work: Work, *, keep: int = 0) -> Callable[[Id], bool]:
    """Says of chunks whether they need not be kept here, because a remote has them for sure.

    The remotes are asked which packs they have now.  Packs that were read or written longest ago are dropped first.

    Args:
        repo: the repository.
        work: how.
        keep: bytes of data that may stay.

    Raises:
        NotFound: there is no remote.
        RemoteError, RemoteDenied, Damaged: by a remote.
    """
    known = names_of(repo)
    if not known:
        raise NotFound("there is no remote that could have the data", hint="'artvc remote add origin URL' makes one")
    there: list[tuple[Tracking, Set[Id]]] = []
    for name in known:
        with connected(repo, name, work) as remote:
            fetch(repo, Tracking(repo, name), remote)
            there.append((Tracking(repo, name), remote.packs()))
    kept = _recent_packs(repo, keep)

    def drop(chunk: Id) -> bool:
        place = repo.objects.find(chunk)
        if place is not None and place.pack in kept:
            return False
        for tracking, packs in there:
            at = tracking.place(chunk)
            if at is None or Id.parse(at.pack) not in packs:
                continue
            base = tracking.end(at.pack).bases.get(chunk)
            near = tracking.place(base) if base is not None else at
            if near is not None and Id.parse(near.pack) in packs:
                return True
        return False

    return drop


def _recent_packs(repo: Repository, size: int) -> set[str]:
    """The packs used last that have so many bytes together."""
    found = []
    repo.objects.refresh()
    for name in repo.objects.index.packs:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(os.path.join(repo.objects.packs, name + PACK_SUFFIX))
            found.append((max(status.st_atime_ns, status.st_mtime_ns), status.st_size, name))
    kept = set()
    for _, bytes_of_it, name in sorted(found, reverse=True):
        size -= bytes_of_it
        if size < 0:
            break
        kept.add(name)
    return kept


def attach(repo: Repository, work: Work) -> None:
    """Let all reading of a repository bring what lies on its remotes; costs nothing until something is missing."""
    if not names_of(repo):
        return
    lender: Lender | None = None
    process = os.getpid()
    lock = threading.RLock()  # what one thread waits for is often what the next one wants

    def lend(wanted: Sequence[Id]) -> None:
        nonlocal lender, process, lock
        if process != os.getpid():  # connections don't survive a fork, and the lock may be held for ever
            lender, process, lock = None, os.getpid(), threading.RLock()
        with lock:
            lender = lender or lender_of(repo, work)
            lender.bring(wanted)

    repo.objects.lend = lend


def clone(
    url: str, target: Path, work: Work, *, base: Path, settings: Settings, everything: bool = False
) -> tuple[Repository, Pulled]:
    """Make a repository with the history of another one; its data comes when it is needed.

    Args:
        url: of the other one.
        target: directory to make, or an empty one; or one that a clone of the same was cut off in.
        work: how.
        base: what a relative path starts from.
        settings: of the new repository.
        everything: bring all data too.

    Returns:
        the repository, to be closed, and what came.

    Raises:
        Conflict: there is something else in the directory.
        NotFound, RemoteError, RemoteDenied, Damaged: by the remote.
    """
    address = addresses.parse(url, base=base)
    made = not target.exists()
    goes_on = (target / DIRECTORY).exists()
    if not made and not goes_on and any(target.iterdir()):
        raise Conflict(f"{target} exists and is not empty", hint="name another directory")
    if goes_on:
        repo = Repository.open(target, settings)
        if lookup(repo.config, f"remote.{DEFAULT}.url") != address.url:
            repo.close()
            raise Conflict(f"{target} is another repository already", hint="name another directory")
    else:
        target.mkdir(parents=True, exist_ok=True)
        repo, _ = Repository.create(target, settings=settings)
    try:
        if not goes_on:
            repo.set_config(f"remote.{DEFAULT}.url", address.url)
        return repo, pull_from(repo, DEFAULT, work, everything=everything, settled={})
    except BaseException as exc:
        empty = repo.state().number == 0 and not Tracking(repo, DEFAULT).state().number
        repo.close()
        if made and empty and isinstance(exc, ArtvcError):  # nothing came, so nothing is lost
            shutil.rmtree(target, ignore_errors=True)
        raise


def directory_of(url: str) -> str:
    """The directory that a clone goes into where none is named: the last part of the address.

    Raises:
        InvalidInput: it has none that can be a directory.
    """
    last = url.rstrip("/").removesuffix("/" + DIRECTORY).rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
    if last in ("", ".", "..") or last.startswith("-"):
        raise InvalidInput(f"what shall the directory be called? {url!r} does not say", hint="name it: clone URL DIR")
    return last
