"""What names reach: all objects that some refs need, each visited once.

What a version needs is its artifact, its tree and all chunks of its files, its properties and the commits of the run
that made it.  A commit needs its own files and the commits before it; of the versions that a run used or made it
needs only the artifact objects, so that the log can go on naming them: their content lives by their own names.
"""

from collections.abc import Container

from artvc.errors import Damaged, NotFound
from artvc.model import codec, names
from artvc.model.ids import Id, Kind
from artvc.model.merkle import Get
from artvc.model.objects import EntryKind, Json, JsonObject


class Reach:
    """Grows with every ref that is added.

    Args:
        get: reads an object.
        known: what was reached otherwise and need not be looked at again.
        lenient: pass over what is not there or can't be read (of names that were removed), and go on beside it.

    Attributes:
        objects: ids of everything but chunks.
        chunks: ids of chunks; they were not read.
    """

    def __init__(self, get: Get, *, known: Container[bytes] | None = None, lenient: bool = False) -> None:
        self.objects: set[bytes] = set()
        self.chunks: set[bytes] = set()
        self._get = get
        self._known = known
        self._lenient = lenient
        self._whole: set[bytes] = set()  # artifacts with their trees

    def __contains__(self, wanted: object) -> bool:
        return wanted in self.objects or wanted in self.chunks

    def add(self, name: str, value: JsonObject) -> None:
        """Add all that a ref needs.

        Args:
            name: of the ref.
            value: its value.

        Raises:
            NotFound, Damaged: an object is missing or can't be read (unless lenient), or the ref is malformed.
        """
        kind, last = name.partition("/")[0], name.rpartition("/")[2]
        if kind == "artifacts" and names.version_number(last) is not None:
            self._artifact(_id(value, "artifact"))
            self._commits(_id(value, "commit"))
        elif kind == "properties":
            self._object(Kind.PROPERTIES, _id(value, "id"))
        elif kind == "runs":
            self._commits(_id(value, "commit"))
        elif kind == "uploads":
            parts = value.get("parts")
            for part in parts if isinstance(parts, list) else [None]:
                self._contribution(part)
        elif kind != "collections" and not (kind == "artifacts" and isinstance(value.get("version"), int)):
            raise Damaged(f"{name!r} in the ref log is no name that this version of artvc knows")

    def add_artifact(self, artifact: Id) -> None:
        """Add an artifact object, without what it consists of.  Raises NotFound, Damaged, unless lenient."""
        self._object(Kind.ARTIFACT, artifact)

    def _load(self, kind: Kind, wanted: Id) -> bytes | None:
        """An object's bytes, after which it counts as reached; None where there is nothing to look at."""
        try:
            data = self._get(kind, wanted)
        except (NotFound, Damaged):
            if not self._lenient:
                raise
            return None
        self.objects.add(bytes(wanted))
        return data

    def _has(self, wanted: Id) -> bool:
        return wanted in self.objects or (self._known is not None and wanted in self._known)

    def _object(self, kind: Kind, wanted: Id) -> None:
        """Reach one object that names no others, or whose names don't count."""
        if not self._has(wanted):
            self._load(kind, wanted)

    def _contribution(self, part: Json) -> None:
        if not isinstance(part, dict):
            raise Damaged("an upload in the ref log has a malformed contribution")
        self._object(Kind.PROPERTIES, _id(part, "properties"))
        self._trees(_id(part, "tree"))

    def _artifact(self, artifact: Id) -> None:
        if artifact in self._whole:
            return
        data = self._load(Kind.ARTIFACT, artifact)
        if data is not None:
            self._trees(codec.decode_artifact(data).root)
            self._whole.add(bytes(artifact))

    def _commits(self, first: Id) -> None:
        """A commit and those before it."""
        todo: Id | None = first
        while todo is not None and not self._has(todo):
            data = self._load(Kind.COMMIT, todo)
            if data is None:
                return
            commit = codec.decode_commit(data)
            for one in commit.inputs:
                self._object(Kind.ARTIFACT, one.artifact)
            for out in commit.outputs:
                self._object(Kind.ARTIFACT, out.artifact)
                self._object(Kind.PROPERTIES, out.properties)
            if commit.files is not None:
                self._trees(commit.files)
            todo = commit.previous

    def _trees(self, root: Id) -> None:
        """A tree, the trees below, and the chunk lists of their files."""
        todo = [root]
        while todo:
            here = todo.pop()
            data = None if self._has(here) else self._load(Kind.TREE, here)
            if data is None:
                continue
            node = codec.decode_tree(data)
            todo += [child.id for child in node.children]
            for entry in node.entries:
                if entry.id is None:
                    continue
                if entry.kind == EntryKind.DIRECTORY:
                    todo.append(entry.id)
                elif entry.kind == EntryKind.BLOB:
                    self._chunk_lists(entry.id)
                else:
                    self.chunks.add(bytes(entry.id))

    def _chunk_lists(self, root: Id) -> None:
        todo = [root]
        while todo:
            here = todo.pop()
            data = None if self._has(here) else self._load(Kind.BLOB, here)
            if data is None:
                continue
            node = codec.decode_blob(data)
            if node.level:
                todo += [part.id for part in node.parts]
            else:
                self.chunks.update(bytes(part.id) for part in node.parts)


def _id(value: JsonObject, key: str) -> Id:
    found = value.get(key)
    if not isinstance(found, str):
        raise Damaged(f"a ref in the log has no {key}")
    return Id.parse(found)
