"""Which file a new one probably grew out of, so that its weights can be stored as a difference.

The lineage says: the same path in the latest version of the same artifact, else a file of the artifacts that the run
used, since a fine-tuned model is near the one that it began from.  A wrong guess costs a look and some bytes, never
content: what is stored as a delta is decided by a sample, and whatever is read back is hashed.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from artvc.errors import ArtvcError
from artvc.model import chunking, merkle, names
from artvc.model.ids import Id
from artvc.model.objects import Content, Entry
from artvc.repo import Repository

Earlier = Callable[[str, int], Content | None]  # path in the artifact and bytes of a file -> its earlier version

_INPUT_FILES: Final = 10_000  # files looked at to find one of like size
_ALIKE: Final = 0.05


class Predecessors:
    """Looks for the earlier version of a file.

    Args:
        repo: the repository.
        project, name: the artifact that the files will belong to.
        inputs: the artifacts that the run used.
    """

    def __init__(self, repo: Repository, project: str, name: str, inputs: Sequence[Id] = ()) -> None:
        self._repo = repo
        self._inputs = list(dict.fromkeys(inputs))
        self._sizes: list[tuple[str, Content]] | None = None
        self._latest = f"{project}/{name}:{names.LATEST}"
        self._roots: list[Id] | None = None

    def _look(self) -> Iterator[Id]:
        """The trees of the latest version and of the inputs."""
        # There may be none, or damage, which is said where the artifact is used; here it only costs bytes.
        with contextlib.suppress(ArtvcError):
            yield self._repo.artifact(self._repo.resolve(self._latest).version.artifact_id).root
        for artifact in self._inputs:
            with contextlib.suppress(ArtvcError):
                yield self._repo.artifact(artifact).root

    def find(self, path: str, size: int) -> Content | None:
        """The content of the earlier version of a file, or None.

        Args:
            path: in the artifact.
            size: bytes; those of a single chunk are not worth a look.
        """
        if size < chunking.WHOLE:
            return None
        if self._roots is None:
            self._roots = list(self._look())
        for root in self._roots:
            entry = self._entry(root, path)
            if entry is not None:
                return entry
        return self._of_like_size(path, size)

    def _entry(self, root: Id, path: str) -> Content | None:
        try:
            return _content(merkle.find(root, path, self._repo.objects.get))
        except ArtvcError:
            return None

    def _of_like_size(self, path: str, size: int) -> Content | None:
        """The file of the inputs with the same ending whose size is nearest, if it is near."""
        if self._sizes is None:
            self._sizes = list(self._input_files())
        ending = path.rpartition(".")[2]
        near = [one for name, one in self._sizes if name.rpartition(".")[2] == ending]
        best = min(near, key=lambda one: abs(one.size - size), default=None)
        return best if best is not None and abs(best.size - size) <= _ALIKE * size else None

    def _input_files(self) -> "list[tuple[str, Content]]":
        found: list[tuple[str, Content]] = []
        for artifact in self._inputs:
            try:
                for path, entry in merkle.walk(self._repo.artifact(artifact).root, self._repo.objects.get):
                    content = _content(entry)
                    if content is not None:
                        found.append((path, content))
                    if len(found) >= _INPUT_FILES:
                        return found
            except ArtvcError:
                continue
        return found


def _content(entry: Entry | None) -> Content | None:
    return Content(entry.kind, entry.id, entry.size) if entry is not None and entry.is_file and entry.id else None
