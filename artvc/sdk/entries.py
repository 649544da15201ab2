"""The files of an artifact as a script sees them."""

import io
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from artvc.errors import InvalidInput
from artvc.model import names
from artvc.model.objects import Entry, EntryKind
from artvc.sdk import digest, references

if TYPE_CHECKING:
    from artvc.sdk.artifact import Artifact

PathLike = str | os.PathLike[str]


def logical(name: PathLike) -> str:
    """A path in an artifact.  Raises InvalidInput if it leads out."""
    path = name.as_posix() if isinstance(name, PureWindowsPath) else os.fspath(name)
    if isinstance(name, PurePath) and path == ".":
        path = ""
    return names.logical_path(path)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of an artifact.

    Attributes:
        path: in the artifact.
        digest: of its content, hex; of a reference, its checksum or URI.
        size: bytes; 0 for references of unknown size.
        ref: the URI of a reference; of a file that was taken over from another artifact, that one's; else None.
    """

    path: str
    digest: str
    size: int
    ref: str | None
    _artifact: "Artifact"
    _entry: Entry

    @property
    def name(self) -> str:
        """Its path, as the files of W&B call it."""
        return self.path

    @property
    def extra(self) -> dict[str, Any]:
        """What a server said of a reference: ``etag`` as it was sent, ``versionID``; else empty."""
        return references.extra(self._entry) if self._entry.kind == EntryKind.REFERENCE else {}

    @property
    def local_path(self) -> str | None:
        """Always None: content is in the repository, not in a file of its own."""
        return None

    @property
    def mimetype(self) -> str:
        """Guessed from its name; "" where nothing fits."""
        return mimetypes.guess_type(self.path)[0] or ""

    @property
    def direct_url(self) -> str:
        """The URI of a reference, else :meth:`ref_url`; of a draft's file ""."""
        if self._entry.kind == EntryKind.REFERENCE:
            return self._entry.target
        return "" if self._artifact.is_draft() else self.ref_url()

    @property
    def storage_path(self) -> str:
        """The id of the content in the repository, as hex; of a reference its URI."""
        return self._entry.id.hex() if self._entry.id else self._entry.target

    @property
    def md5(self) -> str:
        """The digest that W&B gives the file, base64; the content is read for it.  Raises Damaged."""
        return self.wandb_digest

    @property
    def wandb_digest(self) -> str:
        """The same; of a reference its ETag, else the MD5 known of its file, else its URI as W&B writes it."""
        if self._entry.kind == EntryKind.REFERENCE:
            return references.wandb_digest(self._entry)
        if self._entry.kind == EntryKind.SYMLINK:
            return digest.of_text(self._entry.target)
        return digest.of_content(self._artifact._readable().read(self._entry))

    def parent_artifact(self) -> "Artifact":
        """The artifact that it belongs to."""
        return self._artifact

    def ref_target(self) -> str:
        """The URI of a reference.  Raises InvalidInput for a file."""
        if self.ref is None:
            raise InvalidInput(f"{self.path!r} is a file, not a reference")
        return self.ref

    def ref_url(self) -> str:
        """The URI by which :meth:`Artifact.add_reference` of another artifact takes this file over.

        Raises:
            ArtifactNotLoggedError: the artifact is a draft.
        """
        version = self._artifact._logged("ref_url")
        return references.artifact_uri(version.artifact_id, self.path)

    def open(self) -> io.BufferedReader:
        """The content as a stream that can seek.  Raises InvalidInput for a reference."""
        return self._artifact._readable().open_file(self._entry)

    def download(
        self, root: PathLike | None = None, skip_cache: bool | None = None, executor: object = None, **more: object
    ) -> str:
        """Restore this file alone; returns its absolute path.  Raises as :meth:`Artifact.download`."""
        return os.path.join(self._artifact._restore(root, [self.path]), *self.path.split("/"))


class Manifest:
    """The files of an artifact by path."""

    def __init__(self, entries: dict[str, ManifestEntry]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, path: object) -> bool:
        return path in self.entries

    def __getitem__(self, path: str) -> ManifestEntry:
        return self.entries[path]

    def get_entry_by_path(self, path: PathLike) -> ManifestEntry | None:
        """The file of a path, or None."""
        return self.entries.get(logical(path))
