"""The files of a logged artifact: listed, restored into directories, checked there."""

import errno
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from artvc import worktree
from artvc.errors import InvalidInput
from artvc.model.objects import Entry, EntryKind
from artvc.sdk import environment, references
from artvc.sdk.artifact_state import ArtifactState
from artvc.sdk.entries import ManifestEntry, PathLike

_LARGE_BYTES: Final = 50 * 1000 * 1000
_LARGE_FILES: Final = 5000


class ArtifactFiles(ArtifactState):
    """The part of :class:`artvc.Artifact` that has to do with the files of a version."""

    def download(
        self,
        root: PathLike | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: PathLike | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Restore the files.  Right files are kept, changed ones restored, others left alone.

        What references name is fetched, checked against what was noted when they were added, and put into its place
        when it is right.  References of schemes that are not followed are left out with a warning.

        Args:
            root: where; ``artifacts/<name>:v<N>`` in the working directory (or ``ARTVC_ARTIFACT_DIR``) if not given;
                with ``-`` for ``:`` on file systems that refuse that.
            allow_missing_references: only warn of references to what is not there any more.
            path_prefix: only paths that start with this text.
            skip_cache, multipart: accepted for W&B's sake.

        Returns:
            the directory, absolute.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            FileNotFoundError: what a reference names is not there; all other files were restored.
            InvalidInput: what a reference names was changed (a ValueError).
            Damaged: stored bytes are not what they were; none of them were written.
            StorageFull, StorageError: the destination's disk.
        """
        version = self._logged("download")
        paths = None
        if path_prefix is not None and os.fspath(path_prefix):
            prefix = os.fspath(path_prefix)
            paths = [path for path, _ in self._place().repo.walk(version) if path.startswith(prefix)]
        return self._restore(root, paths, allow_missing=allow_missing_references)

    def _restore(self, root: PathLike | None, paths: list[str] | None, *, allow_missing: bool = False) -> str:
        """Restore all files (None) or some of them; returns the directory."""
        version = self._logged("download")
        target = self._default_root(versioned=True) if root is None else os.path.abspath(root)
        if paths is not None and not paths:
            os.makedirs(target, exist_ok=True)
            return target
        repo, tree = self._place().repo, self._tree()
        if tree.size > _LARGE_BYTES or tree.files > _LARGE_FILES:
            environment.say(
                f"downloading large artifact '{self.name}', {tree.size / 1e6:.2f} MB, {tree.files} files to {target}"
            )
        result = worktree.checkout(
            repo, version, Path(target), asked=self.name, subpaths=paths or (), force=True, merge=True
        )
        self._fetch(target, result.references, allow_missing=allow_missing)
        return target

    def _fetch(self, target: str, paths: Sequence[str], *, allow_missing: bool) -> None:
        """Fetch references into a directory; what is not there is told of last."""
        version, repo = self._logged("download"), self._place().repo
        skipped, missing = 0, []
        for path in sorted(paths):
            entry = repo.entry(version, path)
            if not references.can_fetch(entry):
                skipped += 1
                continue
            if self._is_fetched(os.path.join(target, path), entry):
                continue
            try:
                worktree.place_file(Path(target), path, functools.partial(references.fetch, entry))
            except references.Missing as exc:
                missing.append(exc)
                environment.warn(f"{path!r} of {version.label} was not fetched: {exc.message}")
        if skipped:
            environment.warn(f"{skipped} references of {version.label} were not fetched: unknown schemes")
        if missing and not allow_missing:
            raise missing[0]

    @staticmethod
    def _is_fetched(disk: str, entry: Entry) -> bool:
        """Whether a file is there and has the bytes that a reference noted."""
        if "sha256" not in references.known(entry) or not os.path.isfile(disk) or os.path.islink(disk):
            return False
        return os.path.getsize(disk) == entry.size and references.has_content(disk, entry)

    def _default_root(self, *, versioned: bool) -> str:
        version = self._logged("download")
        base = os.path.abspath(environment.variable("ARTIFACT_DIR") or "artifacts")
        path = os.path.join(base, version.label if versioned else version.name)
        return (
            path
            if ":" not in os.path.basename(path) or _takes_colon(base)
            else path[: -len(version.label)] + (version.label.replace(":", "-"))
        )

    def checkout(self, root: PathLike | None = None) -> str:
        """Make a directory equal to the version: other files in it are deleted.

        Args:
            root: where; ``artifacts/<name>`` if not given.

        Returns:
            the directory, absolute.

        Raises:
            ArtifactNotLoggedError: it is a draft; and as :meth:`download` does.
        """
        version = self._logged("checkout")
        target = self._default_root(versioned=False) if root is None else os.path.abspath(root)
        result = worktree.checkout(self._place().repo, version, Path(target), asked=self.name, force=True, exact=True)
        self._fetch(target, result.references, allow_missing=False)
        return target

    def verify(self, root: PathLike | None = None) -> None:
        """Check that a directory holds exactly this version's files.

        Args:
            root: where; the directory of :meth:`download` if not given.

        Raises:
            InvalidInput: a file is missing, changed, or not of this version; the message names it.
            ArtifactNotLoggedError: it is a draft.
        """
        self._logged("verify")
        base = self._default_root(versioned=True) if root is None else os.path.abspath(root)
        expected = dict(self._files())
        unsure = [path for path, entry in expected.items() if entry.kind == EntryKind.REFERENCE]
        for path in _paths_below(base):
            entry = expected.pop(path, None)
            if entry is None:
                raise InvalidInput(f"{base} has a file that {self.source_name} does not have: {path!r}")
            if not self._is_right(os.path.join(base, path), entry):
                raise InvalidInput(f"{path!r} in {base} is not as in {self.source_name}", hint="download() restores it")
        missing = [path for path, entry in expected.items() if entry.kind != EntryKind.REFERENCE]
        if missing:
            raise InvalidInput(f"{missing[0]!r} of {self.source_name} is missing in {base}")
        if unsure:
            environment.warn(f"{len(unsure)} references of {self.source_name} were not verified")

    def _is_right(self, disk: str, entry: Entry) -> bool:
        """Whether a file on disk is what an entry says, byte for byte."""
        if entry.kind == EntryKind.SYMLINK:
            return os.path.islink(disk) and os.readlink(disk) == entry.target
        if not entry.is_file:
            return True
        with open(disk, "rb") as file:
            if os.path.islink(disk) or os.fstat(file.fileno()).st_size != entry.size:
                return False
            return all(file.read(len(piece)) == piece for piece in self._place().repo.read(entry))

    def file(self, root: PathLike | None = None) -> str:
        """Restore an artifact of a single file; returns the file's path.

        Raises:
            InvalidInput: it has none or several.
            ArtifactNotLoggedError: it is a draft.
        """
        self._logged("file")
        paths = [path for path, _ in self._files()]
        if len(paths) != 1:
            raise InvalidInput(f"{self.source_name} has {len(paths)} files, not one", hint="use download()")
        return os.path.join(self._restore(root, None), *paths[0].split("/"))

    def files(
        self, names: Sequence[str] | None = None, per_page: int = 50, start: object = None
    ) -> list[ManifestEntry]:
        """All files of a version, sorted by path, or those of some paths.

        Args:
            names: only these paths.
            per_page, start: accepted for W&B's sake.

        Raises:
            ArtifactNotLoggedError: it is a draft.
        """
        self._logged("files")
        return [self._listed(path, entry) for path, entry in self._files() if names is None or path in names]

    def get_entry(self, name: PathLike) -> ManifestEntry:
        """One file.

        Raises:
            KeyError: there is none of that path.
            ArtifactNotLoggedError: it is a draft.
        """
        found = self._entry_at(name, "get_entry")
        if found is None:
            raise KeyError(f"{self.source_name} has no file {os.fspath(name)!r}")
        return found

    get_path = get_entry


def _takes_colon(directory: str) -> bool:
    """Whether the file system of a directory allows ``:`` in names (Windows' do not)."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    try:
        os.lstat(os.path.join(directory, ":"))
    except OSError as exc:
        return exc.errno not in {errno.EINVAL, errno.ENOTSUP} and getattr(exc, "winerror", None) != 123
    return True


def _paths_below(base: str) -> Iterator[str]:
    """The paths of all files and links below a directory, in order."""
    if not os.path.isdir(base):
        raise InvalidInput(f"no directory {base!r} to verify", hint="download() makes it")
    for directory, below, files in os.walk(base):
        below.sort()
        links = [one for one in below if os.path.islink(os.path.join(directory, one))]
        for file in sorted(files + links):
            yield os.path.relpath(os.path.join(directory, file), base).replace(os.sep, "/")
