"""``artvc://[project/]NAME[:ALIAS|:vN|@HASH]/PATH`` for what reads through fsspec: pandas, pyarrow.

Reading only.  What a reference stands for is looked up once and then kept for as long as the filesystem object lives,
and in its copies in other processes, so that all parts of one computation see the same version.
"""

import os
import posixpath
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped,unused-ignore]

from artvc import settings
from artvc.errors import Damaged, FileMissing, InvalidInput, NotFound, UsageError
from artvc.model import codec, merkle
from artvc.model.ids import Id, Kind
from artvc.model.merkle import Slice
from artvc.model.names import PATH_DEPTH
from artvc.model.objects import Content, Entry, EntryKind
from artvc.repo import DIRECTORY, Repository, Version

CACHE_BYTES: Final = 64 * 1024 * 1024
_WINDOW: Final = 4 * 1024 * 1024  # of a file's chunk list that is kept beside an open file
_BLOCK: Final = 64 * 1024
_Range = tuple[Content, int, int]


class _Cache:
    """Objects that were read and hashed, up to a number of bytes; those used longest ago go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[tuple[Kind, Id], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, kind: Kind, wanted: Id) -> bytes | None:
        with self._lock:
            data = self._kept.get((kind, wanted))
            if data is not None:
                self._kept.move_to_end((kind, wanted))
            return data

    def put(self, kind: Kind, wanted: Id, data: bytes) -> None:
        with self._lock:
            if (kind, wanted) in self._kept or len(data) > self._limit:
                return
            self._kept[kind, wanted] = data
            self._size += len(data)
            while self._size > self._limit:
                self._size -= len(self._kept.popitem(last=False)[1])


class _Store:
    """An opened repository in this process, for all filesystem objects that are about it."""

    def __init__(self, repo: Repository, cache: _Cache) -> None:
        self.repo = repo
        self.lock = threading.RLock()
        self._cache = cache
        if repo.config.get("remote"):
            from artvc.sync.sharing import Work, attach  # noqa: PLC0415 -- only where there are remotes

            attach(repo, Work(environ=os.environ, now=settings.now))

    def get(self, kind: Kind, wanted: Id) -> bytes:
        """An object.  Raises NotFound, Damaged."""
        data = self._cache.get(kind, wanted)
        if data is None:
            data = self.repo.objects.get(kind, wanted)
            self._cache.put(kind, wanted, data)
        return data

    def resolve(self, reference: str) -> tuple[Version, str]:
        """The version that a reference stands for now, and the path in it.  Raises NotFound, InvalidInput."""
        with self.lock:
            found = self.repo.resolve(reference)
        return found.version, found.path

    def chunks(self, wanted: Sequence[Id]) -> Iterator[tuple[Id, bytes]]:
        """Chunks, each once, in any order; those that are on a remote come together.

        Raises:
            NotFound, Damaged, RemoteError: as reading does.
        """
        missing: list[Id] = []
        for one in wanted:
            data = self._cache.get(Kind.CHUNK, one)
            if data is None:
                missing.append(one)
            else:
                yield one, data
        for one, buffer in zip(missing, self.repo.objects.chunks(missing), strict=True):
            data = bytes(buffer)
            self._cache.put(Kind.CHUNK, one, data)
            yield one, data


class _Process:
    """What this module remembers for the process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cache = _Cache(CACHE_BYTES)
        self.stores: dict[str, _Store] = {}


_process = _Process()


def _forget() -> None:
    """In a forked child: open files and locks are the parent's."""
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_forget)


def _store(root: str) -> _Store:
    process = _process
    with process.lock:
        if root not in process.stores:
            repo = Repository.open(Path(root), settings.from_environment(os.environ))
            process.stores[root] = _Store(repo, process.cache)
        return process.stores[root]


def _root(repo: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str:
    """The directory that holds the repository that is meant.  Raises NotARepository."""
    start = Path(os.path.abspath(repo or environ.get("ARTVC_DIR") or os.getcwd()))
    with Repository.discover(start.parent if start.name == DIRECTORY else start) as found:
        return str(found.root)


def _read_only(*_: object, **__: object) -> NoReturn:
    raise UsageError(
        "artvc:// is for reading only: versions don't change",
        hint="'artvc commit', or artvc.Artifact and log_artifact, record a new version",
    )


class ArtvcFileSystem(AbstractFileSystem):  # type: ignore[misc,unused-ignore]
    """The versions of a repository as directories of files.

    Args:
        repo: the repository, or a directory in it; None: ``ARTVC_DIR``, else the working directory or the nearest
            repository above it, when the object is made.
        pins: what references stand for already, by reference; as copies in other processes are given it.
        options: fsspec's.

    Raises:
        NotARepository: there is none.
    """

    protocol = "artvc"
    root_marker = ""
    # fsspec would keep objects for the whole process: 'latest' would never change, nor the repository after a chdir.
    cachable = False

    def __init__(
        self,
        repo: str | os.PathLike[str] | None = None,
        pins: Mapping[str, Version] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = _root(repo, os.environ)
        self._pins: dict[str, Version] = dict(pins or {})

    def __reduce__(self) -> tuple[Any, ...]:
        options = {key: value for key, value in self.storage_options.items() if key not in {"repo", "pins"}}
        return _again, (type(self), self.root, dict(self._pins), options)

    @property
    def _open_store(self) -> _Store:
        return _store(self.root)

    # -- names --------------------------------------------------------------------------------------------

    def _locate(self, path: str) -> tuple[Version, str]:
        """The version that a path is about, and the path in it."""
        head, inside = _split(path)
        pinned = self._pins.get(head)
        if pinned is not None:
            return pinned, inside
        try:
            version, inside = self._open_store.resolve(path)
        except NotFound as exc:
            raise FileMissing(str(exc), hint=exc.hint) from exc
        head = path[: len(path) - len(inside)].rstrip("/")
        return self._pins.setdefault(head, version), inside

    def _entry(self, path: str) -> Entry:
        """What is at a path; of a link to a file in the same version, that file.

        Raises:
            FileMissing: nothing.
            InvalidInput: the path is no reference.
        """
        version, inside = self._locate(path)
        store = self._open_store
        root = codec.decode_artifact(store.get(Kind.ARTIFACT, version.artifact_id)).root
        if not inside:
            return store.repo.entry(version, "")
        found = merkle.find(root, inside, store.get)
        if found is None:
            try:
                found = store.repo.entry(version, inside)
            except NotFound as exc:
                raise FileMissing(str(exc), hint=exc.hint) from exc
        return self._behind(root, inside, found, store)

    def _behind(self, root: Id, path: str, entry: Entry, store: _Store) -> Entry:
        """The file that a link leads to; the entry itself if it is no link, or leads to anything else."""
        found: Entry | None = entry
        for _ in range(PATH_DEPTH):
            if found is None or found.kind != EntryKind.SYMLINK:
                break
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target))
            found = None if path.startswith("..") else merkle.find(root, path, store.get)
        return found if found is not None and found.is_file else entry

    def invalidate_cache(self, path: str | None = None) -> None:
        """Look references up anew: of one path, or of all."""
        if path is None:
            self._pins.clear()
        else:
            name = self._strip_protocol(path)
            for head in [one for one in self._pins if name == one or name.startswith(f"{one}/")]:
                self._pins.pop(head, None)

    # -- looking ------------------------------------------------------------------------------------------

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size in bytes and type of a path, and the id of its content.  Raises FileMissing."""
        name = self._strip_protocol(path)
        if not name:
            return {"name": "", "size": 0, "type": "directory"}
        return _described(name, self._entry(name))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a directory; at the root, the latest versions.  Raises FileMissing."""
        name = self._strip_protocol(path)
        found = [_described(name, entry) for name, entry in self._listed(name)]
        return found if detail else [one["name"] for one in found]

    def _listed(self, name: str) -> Iterator[tuple[str, Entry]]:
        store = self._open_store
        if not name:
            with store.lock:
                known = [found for found in store.repo.collections() if found.latest is not None]
            for collection in known:
                head = f"{collection.project}/{collection.name}:latest"
                yield head, self._entry(head)
            return
        entry = self._entry(name)
        if entry.kind != EntryKind.DIRECTORY or entry.id is None:
            yield name, entry
            return
        version, inside = self._locate(name)
        root = codec.decode_artifact(store.get(Kind.ARTIFACT, version.artifact_id)).root
        for one in merkle.iterate(entry.id, store.get):
            below = f"{inside}/{one.name}" if inside else one.name
            yield f"{name}/{one.name}", self._behind(root, below, one, store)

    def ukey(self, path: str) -> str:
        """The id of the content: equal if and only if the bytes are."""
        return str(self.info(path)["id"])

    # -- reading ------------------------------------------------------------------------------------------

    def _content(self, path: str) -> Content:
        entry = self._entry(path)
        if entry.kind == EntryKind.REFERENCE:
            raise InvalidInput(f"{path!r} is a reference, its bytes are elsewhere", hint=f"open {entry.target!r}")
        if entry.kind == EntryKind.DIRECTORY:
            raise InvalidInput(f"{path!r} is a directory, not a file")
        return self._open_store.repo.content(entry)

    def _read(self, wanted: Sequence[_Range]) -> list[bytes]:
        store = self._open_store
        return _assembled(
            store,
            [
                (list(merkle.slices(content, store.get, start=start, stop=stop)) if start < stop else [], start, stop)
                for content, start, stop in wanted
            ],
        )

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file, or those from ``start`` to ``end``; negative ones count from the end.

        Raises:
            FileMissing, InvalidInput: there is no such file.
            NotFound, RemoteError, Damaged: its bytes can't be had.
        """
        content = self._content(self._strip_protocol(path))
        return self._read([(content, *_bounds(start, end, content.size))])[0]

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,  # noqa: ARG002 -- chunks are what travels
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Parts of files; what they need of a remote comes together.  Arguments as of fsspec."""
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        try:
            contents = [self._content(self._strip_protocol(path)) for path in paths]
            return self._read(
                [
                    (content, *_bounds(start, end, content.size))
                    for content, start, end in zip(contents, first, last, strict=True)
                ]
            )
        except Exception:
            if on_error != "return":
                raise
            # One by one, to say of each what it is.
            return super().cat_ranges(paths, first, last, on_error=on_error, **options)  # type: ignore[no-any-return,unused-ignore]

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> "ArtvcFile":
        if mode != "rb":
            _read_only()
        content = self._content(path)
        options.pop("autocommit", None)
        options.setdefault("cache_type", "none")
        return ArtvcFile(self, path, content, block_size=block_size or _BLOCK, **options)

    # -- no writing ---------------------------------------------------------------------------------------

    mkdir = makedirs = rmdir = rm = rm_file = _rm = mv = cp_file = touch = pipe_file = put_file = _read_only


class ArtvcFile(AbstractBufferedFile):  # type: ignore[misc,unused-ignore]
    """A file of a version, open for reading.  fsspec buffers nothing by default: decoded chunks are kept already."""

    def __init__(self, fs: ArtvcFileSystem, path: str, content: Content, **options: Any) -> None:
        super().__init__(fs, path, mode="rb", size=content.size, **options)
        self._content = content
        self._window: tuple[int, int, list[Slice]] = (0, 0, [])

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self._content.size)
        if start >= end:
            return b""
        store = _store(self.fs.root)
        first, last, pieces = self._window
        if start < first or end > last:
            last = min(max(end, start + _WINDOW), self._content.size)
            pieces = list(merkle.slices(self._content, store.get, start=start, stop=last))
            self._window = (start, last, pieces)
        begin = bisect_right(pieces, start, key=lambda piece: piece.offset) - 1
        stop = bisect_right(pieces, end - 1, key=lambda piece: piece.offset)
        return _assembled(store, [(pieces[begin:stop], start, end)])[0]


def _again(cls: type[ArtvcFileSystem], root: str, pins: dict[str, Version], options: dict[str, Any]) -> ArtvcFileSystem:
    return cls(repo=root, pins=pins, **options)


def _split(path: str) -> tuple[str, str]:
    """The reference in a path that has a selector, and the rest; of another one, its first two parts, and the rest."""
    marks = [at for at in (path.find(":"), path.find("@")) if at >= 0]
    at = path.find("/", min(marks)) if marks else path.find("/", path.find("/") + 1)
    return (path, "") if at < 0 else (path[:at], path[at + 1 :])


def _bounds(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    first, last, _ = slice(start, end).indices(size)
    return first, max(first, last)


def _described(name: str, entry: Entry) -> dict[str, Any]:
    words = {EntryKind.DIRECTORY: "directory", EntryKind.SYMLINK: "link"}
    found = {"name": name, "size": entry.size, "type": words.get(entry.kind, "file")}
    if entry.id is not None:
        found["id"] = entry.id.hex()
    elif entry.target:
        found["destination"] = entry.target
    return found


def _assembled(store: _Store, ranges: Sequence[tuple[Sequence[Slice], int, int]]) -> list[bytes]:
    """Parts of files, from the chunks that they lie in.  Every chunk is read once."""
    uses: dict[Id, list[tuple[int, int, Slice]]] = {}
    for number, (pieces, _, _) in enumerate(ranges):
        for at, piece in enumerate(pieces):
            uses.setdefault(piece.id, []).append((number, at, piece))
    parts: list[list[bytes]] = [[b""] * len(pieces) for pieces, _, _ in ranges]
    for chunk, data in store.chunks(list(uses)):
        for number, at, piece in uses[chunk]:
            if len(data) != piece.size:
                raise Damaged(f"chunk {chunk.short} has {len(data)} bytes, its list says {piece.size}")
            _, start, stop = ranges[number]
            parts[number][at] = data[max(0, start - piece.offset) : stop - piece.offset]
    return [b"".join(one) for one in parts]
