"""Making the refs of this repository those of a merge with a remote, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from artvc.errors import Conflict, Damaged, NotFound
from artvc.model.ids import Id
from artvc.model.objects import JsonObject
from artvc.repo import Repository
from artvc.store.refs import RefEdit as RefEdit
from artvc.store.refs import RefState
from artvc.sync import merging
from artvc.sync.merging import Clash, Merged, Renumbered
from artvc.sync.tracking import Tracking, names_of

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a merge did here.

    Attributes:
        edits: the names that changed here and are now as they are there.
        renumbered: our versions that got other numbers.
    """

    edits: tuple[RefEdit, ...]
    renumbered: tuple[Renumbered, ...]


def join(
    repo: Repository,
    tracking: Tracking,
    *,
    now: str,
    who: str,
    why: str,
    settled: Mapping[str, str],
    dry_run: bool = False,
) -> Joined:
    """Merge what is known of a remote into this repository.

    Args:
        repo: this repository.
        tracking: the notes about the remote.
        now, who, why: for the ref log.
        settled: as for :func:`artvc.sync.merging.merge`.
        dry_run: only say what would happen.

    Raises:
        Conflict: an alias was moved on both sides; nothing was changed.
        InvalidInput: as :func:`artvc.sync.merging.merge`.
        StorageFull, StorageError: nothing was changed.
    """
    pinned = _pinned(repo, tracking.name)
    merged = Merged()

    def build(state: RefState) -> Sequence[RefEdit]:
        nonlocal merged
        merged = merging.merge(
            state.refs,
            tracking.state().refs,
            tracking.base(),
            pinned=pinned,
            settled=settled,
            follows=lambda newer, older: _follows(repo, newer, older),
        )
        if merged.clashes:
            raise _conflict(merged.clashes, tracking.name)
        return difference({ref: value for ref, value in state.refs.items() if _is_shared(ref)}, merged.refs)

    if dry_run:
        edits = tuple(build(repo.state()))
    else:
        transaction = repo.refs.apply(build, time=now, who=who, why=why)
        edits = transaction.edits if transaction else ()
        tracking.agree()
    theirs = tracking.state().refs
    taken = tuple(edit for edit in edits if edit.new == theirs.get(edit.name))
    return Joined(edits=taken, renumbered=tuple(merged.renumbered))


def difference(old: Mapping[str, JsonObject], new: Mapping[str, JsonObject]) -> list[RefEdit]:
    """The edits that make one set of refs another, in order of names."""
    changed = (ref for ref in sorted(old.keys() | new.keys()) if old.get(ref) != new.get(ref))
    return [RefEdit(ref, old.get(ref), new.get(ref)) for ref in changed]


def shared_refs(state: RefState) -> dict[str, JsonObject]:
    """The refs that travel."""
    return {ref: value for ref, value in state.refs.items() if _is_shared(ref)}


def _is_shared(ref: str) -> bool:
    return ref.partition("/")[0] in merging.SHARED


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
    return Conflict(
        f"changed on both sides: {shown}{more}",
        hint=f"settle it: 'artvc pull {remote} --theirs {word}' or 'artvc pull {remote} --ours {word}'",
    )
