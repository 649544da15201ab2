"""repack: the same objects in fewer and smaller packs.

Small packs are joined, duplicates dropped; with ``every``, whatever can be stored in fewer bytes with more time is: at
a higher level of zstd, and arrays as differences to a better base.  Ids never change.  The old packs are condemned
and go with a later gc; meanwhile an object lies in both, so that nobody who reads notices.

What is gained is known before anything is written, so a second run finds nothing to do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from artvc.errors import Conflict, InvalidInput
from artvc.maintenance.collecting import Collection, GcRequest, alone
from artvc.model.ids import Id, Kind
from artvc.repo import Repository
from artvc.store import codecs, packs
from artvc.store.packs import Member, encode_block, record_width
from artvc.store.rewrite import Rewriter

LEVEL: Final = 9
_PAYS: Final = 0.02  # a pack is written anew if so much of it is spared
_BASE_PAYS: Final = 0.03
_TRIED: Final = 8  # members of a family that are tried as bases of one another


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackRequest:
    """What ``artvc repack`` is asked to do.

    Attributes:
        every: look at all packs, not only at small ones, for what can be stored in fewer bytes.
        level: of zstd, 1 to 19, for that.
        dry_run: only say what would be done.
    """

    every: bool = False
    level: int = LEVEL
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.level <= codecs.BEST_LEVEL:
            raise InvalidInput(f"level {self.level} is not one of 1 to {codecs.BEST_LEVEL}")


@dataclass(slots=True, kw_only=True)
class RepackReport:
    """What repack did, or would do.

    Attributes:
        packs: how many there are, less those that are condemned.
        rewritten, old: packs that are replaced, and their bytes.
        written, new: packs in place of them, and the bytes of their records; not known before they are written.
        rebased: chunks that became deltas of another base, or none.
    """

    packs: int = 0
    rewritten: int = 0
    old: int = 0
    written: int = 0
    new: int = 0
    rebased: int = 0


def repack(
    repo: Repository, request: RepackRequest, *, now: str, advance: Callable[[int], None] = lambda _: None
) -> RepackReport:
    """Store the same in fewer and smaller packs.

    Args:
        repo: the repository.
        request: how.
        now: the time.
        advance: called with the bytes of packs looked at and of records copied.

    Raises:
        Damaged: a name, a pack or an object can't be read; nothing was condemned.
        Conflict: a gc got in the way, where locks do nothing.
        StorageFull, StorageError: the disk; nothing was condemned.
    """
    with alone(repo, request.dry_run):
        try:
            return _repack(repo, request, now, advance)
        except FileNotFoundError as exc:
            raise Conflict(f"a gc is at work here: {exc.filename} is gone", hint="try again later") from exc


def _repack(repo: Repository, request: RepackRequest, now: str, advance: Callable[[int], None]) -> RepackReport:
    collection = Collection(repo, GcRequest(dry_run=request.dry_run), now, advance)
    collection.look()
    staying = sorted(name for name, use in collection.use.items() if use.live and name not in collection.marked)
    chosen = _small(repo, collection, staying)
    bases: dict[bytes, bytes | None] = {}
    if request.every:
        bases = _Families(repo, collection, staying).choose()
        with Rewriter(repo.objects, level=request.level, bases=bases) as judge:
            for name in staying:
                stays = collection.stays_from(name)
                moved = bases and any(raw in bases and stays(raw) for raw, _ in repo.objects.places_of(name))
                if moved or (name not in chosen and judge.gain(name, stays) > _PAYS):
                    chosen.add(name)
    report = RepackReport(
        packs=len(staying),
        rewritten=len(chosen),
        old=sum(collection.use[name].size for name in chosen),
        rebased=len(bases),
    )
    if chosen and not request.dry_run:
        level = request.level if request.every else codecs.LEVEL
        with Rewriter(repo.objects, level=level, bases=bases) as rewriter:
            for name in sorted(chosen):
                rewriter.copy(name, collection.stays_from(name), advance)
            written = rewriter.seal()
        collection.condemn(sorted(chosen.difference(written)))
        report.written, report.new = len(written), rewriter.stored
    return report


def _small(repo: Repository, collection: Collection, staying: list[str]) -> set[str]:
    """The packs that are worth joining: together they fill fewer."""
    found: set[str] = set()
    for content in (packs.DATA, packs.META):
        small = [
            name
            for name in staying
            if collection.use[name].size < packs.PACK_BYTES // 2 and repo.objects.content_of(name) == content
        ]
        room = math.ceil(sum(collection.use[name].live for name in small) / packs.PACK_BYTES)
        if len(small) > max(1, room):
            found.update(small)
    return found


class _Families:
    """Chunks that are deltas of one base, and that base: one of them may be a better base for all others.

    Args:
        repo: the repository.
        collection: after its look.
        staying: packs that are not condemned.
    """

    def __init__(self, repo: Repository, collection: Collection, staying: list[str]) -> None:
        self._objects = repo.objects
        self._needed = collection.needed
        self._families: dict[bytes, list[bytes]] = {}
        for name in staying:
            stays = collection.stays_from(name)
            for one, base in repo.objects.bases_of(name):
                if stays(one):
                    self._families.setdefault(base, []).append(one)

    def choose(self) -> dict[bytes, bytes | None]:
        """Chunk to its new base (None: whole), of those whose base changes or that become one."""
        found: dict[bytes, bytes | None] = {}
        for base, members in sorted(self._families.items()):
            family = sorted(one for one in members if one not in self._families)
            if len(family) < len(members):
                continue  # one of them is a base itself, in another pack
            best = self._best(base, family)
            if best != base:
                found |= {one: best for one in family if one != best}
                found[best] = None
                if self._needed.named(base):
                    found[base] = best
        return found

    def _best(self, base: bytes, family: list[bytes]) -> bytes:
        """The base that stores a family in the fewest bytes, by some of its members."""
        wanted = self._needed.named(base)
        if len(family) < 2 and wanted:
            return base
        step = max(1, len(family) // _TRIED)
        tried = family[::step][:_TRIED]
        data = {one: self._objects.get(Kind.CHUNK, Id(one)) for one in [base, *tried]}
        width = self._width(tried[0])

        def cost(candidate: bytes) -> float:
            members = [*tried, *([base] if wanted else [])]
            differences = sum(
                _size(one, data[one], width, (candidate, data[candidate])) for one in members if one != candidate
            )
            return _size(candidate, data[candidate], width, None) + differences * len(family) / len(tried)

        now = cost(base)
        least, best = min((cost(one), one) for one in tried)
        return best if least < (1 - _BASE_PAYS) * now else base

    def _width(self, chunk: bytes) -> int:
        """Bytes of a number, as the delta says that it is stored as."""
        return max(record_width(self._objects.record(place)) for place in self._objects.index.find_all(chunk))


def _size(chunk: bytes, data: bytes, width: int, base: tuple[bytes, bytes] | None) -> int:
    """Bytes of a record for a chunk."""
    way = codecs.choose(memoryview(data), width, base[1] if base else None)
    return encode_block([Member(Kind.CHUNK, chunk, len(data))], data, way=way, base=base).size
