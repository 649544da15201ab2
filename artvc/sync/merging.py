"""Bringing two sets of refs together, by what both agreed on last.

Pure: refs in, edits out.  What only one side changed is taken from it.  Versions are never lost: those that only this
side has and that bear a number which the other side gave to something else get new numbers behind, in their order;
nobody else can know them yet.  A version whose content the other side has too is the same version.  ``latest`` settles
itself, and so does what is said about an artifact; any other alias that both sides moved, and properties of a version
that both changed, are a conflict, which the user settles.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from artvc.errors import Damaged, InvalidInput
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.names import LATEST
from artvc.model.objects import MESSAGE_BYTES, Json, JsonObject
from artvc.repo import source_of

Refs = Mapping[str, JsonObject]
SHARED: Final = ("collections", "artifacts", "properties", "runs")  # uploads are of one repository


class Renumbered(NamedTuple):
    """A version of ours that got another number."""

    project: str
    name: str
    old: int
    new: int


class Clash(NamedTuple):
    """A name that both sides changed, each in its way.

    Attributes:
        ref: its name.
        ours, theirs: what it is for people: ``v3``, or "removed".
    """

    ref: str
    ours: str
    theirs: str

    @property
    def word(self) -> str:
        """How the user says which one is meant: ``[project/]artifact:alias``."""
        _, project, name, *rest = self.ref.split("/")
        return ":".join([f"{project}/{name}", *rest])

    def told(self, remote: str) -> str:
        """What became of it on both sides, in words; ``remote`` names the other one."""
        if self.ref.startswith("properties/"):
            return f"what is said about {self.word} (here and on {remote})"
        if self.ref.startswith("runs/"):
            return f"the run {self.word} (it went on here and on {remote})"
        return f"{self.word} is {self.ours} here and {self.theirs} on {remote}"


@dataclass(slots=True)
class Merged:
    """What a merge comes to.

    Attributes:
        refs: the names that both sides are to have.
        renumbered: our versions that were.
        clashes: what has to be settled before; ``refs`` has ours there.
        taken: names whose value came from the other side.
    """

    refs: dict[str, JsonObject] = field(default_factory=dict)
    renumbered: list[Renumbered] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def check(refs: Refs) -> None:
    """Look at refs that came from elsewhere before anything relies on them.

    Raises:
        Damaged: a name or a value is not what artvc writes.
    """
    for ref, value in refs.items():
        try:
            _check_one(ref, value)
        except (InvalidInput, Damaged) as exc:
            raise Damaged(f"the ref {ref[:200]!r} is malformed: {exc.message}") from exc


def check_together(refs: Refs, before: Refs) -> None:
    """Look whether all refs of a remote, each of which is sound, are so together.

    Args:
        refs: all that it has now.
        before: all that it had when it was looked at last.

    Raises:
        Damaged: a version has no artifact or no number of its own, or is of other content than it was.
    """
    for ref, value in refs.items():
        kind, project, name, *rest = ref.split("/")
        number = names.version_number(rest[0]) if rest and kind == "artifacts" else None
        if number is not None:
            collection = refs.get(f"collections/{project}/{name}", {})
            if number >= _next(collection):
                raise Damaged(f"{project}/{name} has a v{number}, which it never gave")
            if ref in before and before[ref].get("artifact") != value.get("artifact"):
                raise Damaged(f"{project}/{name}:v{number} is of other content than it was")


def is_shared(ref: str) -> bool:
    """Whether a name is one that travels."""
    return ref.partition("/")[0] in SHARED


def _check_one(ref: str, value: JsonObject) -> None:
    kind, project, *rest = ref.split("/")
    names.check_project(project)
    if kind == "runs":
        names.check_run_id(rest[0])
        _id_in(value, "commit")
        if len(rest) != 1 or not all(isinstance(value.get(key), str) for key in ("ended", "name", "started")):
            raise InvalidInput("not a run")
        return
    if kind == "uploads":
        return
    names.check_artifact_name(rest[0])
    if kind == "collections":
        kind_of, following = value.get("type"), value.get("next")
        if len(rest) != 1 or not isinstance(kind_of, str) or not _is_number(following):
            raise InvalidInput("not an artifact")
        names.check_type(kind_of)
        names.check_text("description", _text(value.get("description", "")), MESSAGE_BYTES)
        tags = value.get("tags", [])
        if not isinstance(tags, list):
            raise InvalidInput("tags are a list")
        for tag in tags:
            names.check_tag(_text(tag))
        return
    if len(rest) != 2:
        raise InvalidInput("not a version or alias")
    number = names.version_number(rest[1])
    if kind == "properties":
        if number is None:
            raise InvalidInput("not a version")
        _id_in(value, "id")
    elif number is not None:
        _id_in(value, "artifact")
        _id_in(value, "commit")
        source = source_of(value)
        if source is not None:
            names.check_project(source[0])
            names.check_artifact_name(source[1])
    else:
        if rest[1] != LATEST:
            names.check_alias(rest[1])
        if not _is_number(value.get("version")):
            raise InvalidInput("not an alias")


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise InvalidInput("a text is missing")
    return value


def _id_in(value: JsonObject, key: str) -> None:
    found = value.get(key)
    if not isinstance(found, str):
        raise InvalidInput(f"{key} is missing")
    if Id.parse(found).hex() != found:
        raise InvalidInput(f"{key} is not as artvc writes it")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def merge(
    ours: Refs,
    theirs: Refs,
    base: Refs,
    *,
    pinned: Set[str] = frozenset(),
    settled: Mapping[str, str] = MappingProxyType({}),
    follows: Callable[[JsonObject, JsonObject], bool] = lambda _newer, _older: False,
) -> Merged:
    """Merge two sets of refs.

    Args:
        ours, theirs: of this side and the other one, the latter checked.
        base: what both had after the last merge.
        pinned: names of our versions that a third side has; they can't get other numbers.
        settled: "ours" or "theirs" by the :attr:`Clash.word` of an alias; "*" stands for all.
        follows: whether the first of two values of a run has a commit that came after that of the second.

    Raises:
        InvalidInput: an artifact is of different types on the two sides, or a pinned version would need a new number.
    """
    return _Merge(ours, theirs, base, pinned, settled, follows).done()


class _Merge:
    def __init__(
        self,
        ours: Refs,
        theirs: Refs,
        base: Refs,
        pinned: Set[str],
        settled: Mapping[str, str],
        follows: Callable[[JsonObject, JsonObject], bool],
    ) -> None:
        self._ours, self._theirs, self._base = _shared(ours), _shared(theirs), _shared(base)
        self._pinned, self._settled, self._follows = pinned, settled, follows
        self._numbers: dict[tuple[str, str], dict[int, int]] = {}  # of our versions: old -> new
        self._next: dict[str, int] = {}
        self._out = Merged()

    def done(self) -> Merged:
        """The result."""
        groups = _versions_by_artifact(self._ours), _versions_by_artifact(self._theirs)
        for artifact in sorted(groups[0].keys() | groups[1].keys()):
            self._number(artifact, groups[0].get(artifact, {}), groups[1].get(artifact, {}))
        renamed = dict(self._renamed(self._ours))
        for ref in sorted(renamed.keys() | self._theirs.keys() | self._base.keys()):
            self._one(ref, renamed.get(ref), self._theirs.get(ref), self._base.get(ref))
        self._drop_dangling()
        return self._out

    # -- numbers ------------------------------------------------------------------------------------------

    def _number(self, artifact: tuple[str, str], ours: dict[int, JsonObject], theirs: dict[int, JsonObject]) -> None:
        """Give our versions of one artifact the numbers that they have in the end."""
        project, name = artifact
        collection = self._theirs.get(f"collections/{project}/{name}", {})
        mine = self._ours.get(f"collections/{project}/{name}", {})
        if collection and mine and collection.get("type") != mine.get("type"):
            raise InvalidInput(
                f"{project}/{name} is of type {mine.get('type')!r} here and {collection.get('type')!r} there",
                hint="log one of them under another name",
            )
        free = max([_next(collection), *(number + 1 for number in theirs)])
        base = f"artifacts/{project}/{name}/v"
        # What both had and we deleted stays deleted: its content, logged again, is a version of its own.
        known = {
            one.get("artifact"): number
            for number, one in sorted(theirs.items(), reverse=True)
            if "source" not in one and (number in ours or f"{base}{number}" not in self._base)
        }
        numbers: dict[int, int] = {}
        for number, value in sorted(ours.items()):
            ref = f"{base}{number}"
            if ref in self._base and _content(self._base[ref]) == _content(value):
                continue  # both sides had it; if it is gone there, it was deleted
            same = known.get(value.get("artifact")) if "source" not in value else None
            new = number if number in theirs and _content(theirs[number]) == _content(value) else same
            if new is None:
                new = max(free, number if number >= _next(collection) and number not in theirs else free)
                free = new + 1
            if new != number:
                if ref in self._pinned:
                    raise InvalidInput(
                        f"{project}/{name}:v{number} is shared with another remote, where this one has something else",
                        hint="log what is here under another name",
                    )
                numbers[number] = new
                self._out.renumbered.append(Renumbered(project, name, number, new))
        if numbers:
            self._numbers[artifact] = numbers
        self._next[f"collections/{project}/{name}"] = max(free, _next(mine) if not numbers else free)

    def _mapped(self, project: str, name: str, number: int) -> int:
        return self._numbers.get((project, name), {}).get(number, number)

    def _renamed(self, refs: Refs) -> Iterable[tuple[str, JsonObject]]:
        """Our refs under the numbers that they have in the end."""
        for ref, value in refs.items():
            kind, project, name, *rest = ref.split("/")
            number = names.version_number(rest[0]) if rest else None
            if kind in {"artifacts", "properties"} and number is not None:
                source = source_of(value) if kind == "artifacts" else None
                if source is not None:
                    value = {**value, "source": f"{source[0]}/{source[1]}/v{self._mapped(*source)}"}
                yield f"{kind}/{project}/{name}/v{self._mapped(project, name, number)}", value
            elif kind == "artifacts" and isinstance(at := value.get("version"), int):
                yield ref, {**value, "version": self._mapped(project, name, at)}
            else:
                yield ref, value

    # -- one name -----------------------------------------------------------------------------------------

    def _one(self, ref: str, ours: JsonObject | None, theirs: JsonObject | None, base: JsonObject | None) -> None:
        if ours == theirs or theirs == base:
            self._put(ref, ours)
        elif ours == base:
            self._take(ref, theirs)
        else:
            self._both(ref, ours, theirs, base)

    def _put(self, ref: str, value: JsonObject | None) -> None:
        if value is not None:
            if ref in self._next:
                value = {**value, "next": max(self._next[ref], _next(value))}
            self._out.refs[ref] = value

    def _take(self, ref: str, value: JsonObject | None) -> None:
        self._out.taken.append(ref)
        self._put(ref, value)

    def _both(self, ref: str, ours: JsonObject | None, theirs: JsonObject | None, base: JsonObject | None) -> None:
        """Both sides changed a name, each in its way."""
        kind, _, _, *rest = ref.split("/")
        if (ours is None or theirs is None) and (kind != "artifacts" or names.version_number(rest[0]) is not None):
            # Removed on one side, changed on the other: what somebody still works with stays.
            self._take(ref, theirs) if ours is None else self._put(ref, ours)
        elif kind == "collections" and ours is not None and theirs is not None:
            self._take(ref, _said(ours, theirs, base or {}))
        elif kind == "artifacts" and names.version_number(rest[0]) is not None:
            self._take(ref, theirs)  # equal content; theirs names the run that was known first
        elif kind == "artifacts" and rest[0] == LATEST:
            newer = max(ours or {}, theirs or {}, key=_version)
            self._put(ref, newer) if newer is ours else self._take(ref, newer)
        elif kind == "runs" and ours is not None and theirs is not None and self._follows(ours, theirs):
            self._put(ref, ours)
        elif kind == "runs" and ours is not None and theirs is not None and self._follows(theirs, ours):
            self._take(ref, theirs)
        elif kind == "properties" and ref not in self._base:
            # Both logged equal content: as if ours had come later, which updates what is said of it.
            self._put(ref, ours)
        else:
            self._settle(Clash(ref, _shown(ours), _shown(theirs)), ours, theirs)

    def _settle(self, clash: Clash, ours: JsonObject | None, theirs: JsonObject | None) -> None:
        words = (clash.word, clash.word.partition("/")[2], "*")
        choice = next((self._settled[word] for word in words if word in self._settled), None)
        if choice is None:
            self._out.clashes.append(clash)
        if choice == "theirs":
            self._take(clash.ref, theirs)
        else:
            self._put(clash.ref, ours)

    def _drop_dangling(self) -> None:
        """An alias, a link or properties of a version that one side deleted go with it."""
        refs = self._out.refs
        while gone := [ref for ref, value in refs.items() if not _stands(ref, value, refs)]:
            for ref in gone:
                del refs[ref]
        # Each side may have deleted the version that the other one made the latest.
        for (project, name), versions in _versions_by_artifact(refs).items():
            ref = f"artifacts/{project}/{name}/{LATEST}"
            if versions and ref not in refs and (ref in self._ours or ref in self._theirs):
                refs[ref] = {"version": max(versions)}


def _stands(ref: str, value: JsonObject, refs: Refs) -> bool:
    """Whether the version that a ref is about is there."""
    kind, project, name, *rest = ref.split("/")
    if kind == "properties":
        return f"artifacts/{project}/{name}/{rest[0]}" in refs
    if kind == "artifacts" and names.version_number(rest[0]) is None:
        return f"artifacts/{project}/{name}/v{value.get('version')}" in refs
    source = source_of(value) if kind == "artifacts" else None
    return source is None or f"artifacts/{source[0]}/{source[1]}/v{source[2]}" in refs


def _shared(refs: Refs) -> Refs:
    return {ref: value for ref, value in refs.items() if is_shared(ref)}


def _versions_by_artifact(refs: Refs) -> dict[tuple[str, str], dict[int, JsonObject]]:
    found: dict[tuple[str, str], dict[int, JsonObject]] = {}
    for ref, value in refs.items():
        kind, project, name, *rest = ref.split("/")
        if kind == "collections":
            found.setdefault((project, name), {})
        elif kind == "artifacts" and (number := names.version_number(rest[0])) is not None:
            found.setdefault((project, name), {})[number] = value
    return found


def _content(version: JsonObject) -> tuple[object, object]:
    """What makes two versions of an artifact the same one: their content, and of links whether both are."""
    return version.get("artifact"), "source" in version


def _said(ours: JsonObject, theirs: JsonObject, base: JsonObject) -> JsonObject:
    """What is said about an artifact when both sides changed it: each field from the side that did.

    Where both changed a text, theirs is what others see already; tags that either side added or removed are.
    """
    found = {**theirs}
    for key in ours.keys() | base.keys():
        if theirs.get(key) == base.get(key) and key in ours:
            found[key] = ours[key]
        elif theirs.get(key) == base.get(key):
            found.pop(key, None)
    mine, others, before = map(_tags, (ours, theirs, base))
    tags: list[Json] = [*sorted((mine & others) | ((mine ^ others) - before))]
    found.pop("tags", None)
    return {**found, **({"tags": tags} if tags else {}), "next": max(_next(ours), _next(theirs))}


def _tags(collection: JsonObject) -> set[str]:
    found = collection.get("tags")
    return set(map(str, found)) if isinstance(found, list) else set()


def _next(collection: JsonObject) -> int:
    found = collection.get("next")
    return found if isinstance(found, int) else 0


def _version(alias: JsonObject) -> int:
    found = alias.get("version")
    return found if isinstance(found, int) else -1


def _shown(value: JsonObject | None) -> str:
    if value is None:
        return "removed"
    number = value.get("version")
    return f"v{number}" if isinstance(number, int) else str(value.get("id") or value.get("commit") or "")[:12]
