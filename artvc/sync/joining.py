"""Making the refs of this repository those of a merge with a remote, in one transaction."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from artvc.errors import Conflict, Damaged, NotFound, RemoteError
from artvc.model.ids import Id
from artvc.model.objects import JsonObject
from artvc.model.reach import Reach
from artvc.remotes.base import Remote
from artvc.repo import Repository
from artvc.store.refs import RefEdit as RefEdit
from artvc.store.refs import RefState
from artvc.sync import merging
from artvc.sync.fetching import Advance, Fetched, fetch
from artvc.sync.merging import Clash, Merged, Renumbered
from artvc.sync.tracking import Tracking, names_of

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a merge did here.

    Attributes:
        theirs: what the remote had, as it was merged.
        refs: what both are to have.
        edits: the names that changed here and are now as they are there.
        renumbered: our versions that got other numbers.
    """

    theirs: RefState
    refs: Mapping[str, JsonObject]
    edits: tuple[RefEdit, ...]
    renumbered: tuple[Renumbered, ...]


def take_over(
    repo: Repository,
    tracking: Tracking,
    remote: Remote,
    *,
    now: Callable[[], str],
    who: str,
    why: str,
    settled: Mapping[str, str],
    dry_run: bool = False,
    advance: Advance | None = None,
) -> tuple[Fetched, Joined]:
    """Fetch what a remote has, and merge it.

    Args and errors as for :func:`artvc.sync.fetching.fetch` and :func:`join`.
    """

    def merged(fetched: Fetched) -> tuple[Fetched, Joined]:
        return fetched, join(
            repo,
            tracking,
            now=now(),
            who=who,
            why=why,
            settled=settled,
            reached=fetched.reached,
            dry_run=dry_run,
        )

    try:
        return merged(fetch(repo, tracking, remote, advance=advance))
    except _Lost:
        return merged(fetch(repo, tracking, remote, advance=advance))


def join(
    repo: Repository,
    tracking: Tracking,
    *,
    now: str,
    who: str,
    why: str,
    settled: Mapping[str, str],
    reached: Set[bytes] = frozenset(),
    dry_run: bool = False,
) -> Joined:
    """Merge what is known of a remote into this repository.

    Args:
        repo: this repository.
        tracking: the notes about the remote.
        now, who, why: for the ref log.
        settled: as for :func:`artvc.sync.merging.merge`.
        reached: metadata objects that were just found to be here, with all that they lead to.
        dry_run: only say what would happen.

    Raises:
        Conflict: an alias was moved on both sides, or history that was fetched is gone; nothing was changed.
        InvalidInput: as :func:`artvc.sync.merging.merge`.
        RemoteError: the remote has less than it had at the last merge.
        StorageFull, StorageError: nothing was changed.
    """
    pinned = _pinned(repo, tracking.name)
    merged, theirs = Merged(), RefState()

    def build(state: RefState) -> Sequence[RefEdit]:
        nonlocal merged, theirs
        number, base = tracking.base()
        theirs = tracking.snapshot()  # after the base, which another process may just have moved on
        if theirs.number < number:
            raise RemoteError(
                f"{tracking.name} has {theirs.number} transactions and had {number} when it was merged last",
                hint="'artvc remote remove' and 'add' begin anew with it",
            )
        merged = merging.merge(
            state.refs,
            theirs.refs,
            base,
            pinned=pinned,
            settled=settled,
            follows=lambda newer, older: _follows(repo, newer, older),
        )
        if merged.clashes:
            raise _conflict(merged.clashes, tracking.name)
        edits = difference(shared_refs(state), merged.refs)
        _look_for(repo, tracking, edits, reached)
        return edits

    if dry_run:
        edits = tuple(build(repo.state()))
    else:
        transaction = repo.refs.apply(build, time=now, who=who, why=why)
        edits = transaction.edits if transaction else ()
        tracking.agree(theirs)
    taken = tuple(edit for edit in edits if edit.new == theirs.refs.get(edit.name))
    return Joined(theirs=theirs, refs=merged.refs, edits=taken, renumbered=tuple(merged.renumbered))


class _Lost(Conflict):
    """History that a fetch brought is gone, for no name needed it; the notes were dropped, so that it comes again."""


def _look_for(repo: Repository, tracking: Tracking, edits: Sequence[RefEdit], reached: Set[bytes]) -> None:
    """Look whether the history is here that some edits name: since it was fetched, gc may have found it dead."""
    reach = Reach(repo.objects.get, known=reached)
    try:
        for edit in edits:
            if edit.new is not None:
                reach.add(edit.name, edit.new)
        gone = repo.objects.endangered(reach.objects)
    except NotFound as exc:
        tracking.forget()
        raise _Lost(f"history of {tracking.name} is gone: {exc.message}", hint="try again") from exc
    if gone is not None:
        raise Conflict(f"gc is deleting what {tracking.name} has, object {gone.hex()[:12]}", hint="try again")


def difference(old: Mapping[str, JsonObject], new: Mapping[str, JsonObject]) -> list[RefEdit]:
    """The edits that make one set of refs another, in order of names."""
    changed = (ref for ref in sorted(old.keys() | new.keys()) if old.get(ref) != new.get(ref))
    return [RefEdit(ref, old.get(ref), new.get(ref)) for ref in changed]


def shared_refs(state: RefState) -> dict[str, JsonObject]:
    """The refs that travel."""
    return {ref: value for ref, value in state.refs.items() if merging.is_shared(ref)}


def _pinned(repo: Repository, name: str) -> set[str]:
    """Our versions that another remote has under the same number."""
    ours = repo.state().refs
    found = set()
    for other in names_of(repo):
        if other != name:
            theirs = Tracking(repo, other).state().refs
            found |= {ref for ref in ours.keys() & theirs.keys() if _same_version(ours[ref], theirs[ref])}
    return found


def _same_version(ours: JsonObject, theirs: JsonObject) -> bool:
    return ours.get("artifact") is not None and ours["artifact"] == theirs.get("artifact")


def _follows(repo: Repository, newer: JsonObject, older: JsonObject) -> bool:
    """Whether one value of a run has a later commit of it than another."""
    wanted, at = older.get("commit"), newer.get("commit")
    seen = set()
    while isinstance(at, str) and at not in seen:
        if at == wanted:
            return True
        seen.add(at)
        try:
            previous = repo.commit(Id.parse(at)).previous
        except (NotFound, Damaged):
            return False
        at = previous.hex() if previous else None
    return False


def _conflict(clashes: Sequence[Clash], remote: str) -> Conflict:
    shown = "; ".join(one.told(remote) for one in clashes[:_SHOWN])
    more = f" and {len(clashes) - _SHOWN} more" if len(clashes) > _SHOWN else ""
    word = clashes[0].word
    every = "; --ours '*' stands for all" if len(clashes) > 1 else ""
    return Conflict(
        f"changed on both sides: {shown}{more}",
        hint=f"settle it: 'artvc pull {remote} --theirs {word}' or 'artvc pull {remote} --ours {word}'{every}",
    )
