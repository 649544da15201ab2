"""Every failure that artvc reports, as a class with the exit code that the shell sees.

A failure is raised where it is found, with its facts in the message; it is turned into a line of text, a JSON
object and an exit code once, in ``artvc.cli.main``.  Names follow W&B's where W&B has one (``Error``,
``UsageError``, ``CommError``, ``ArtifactNotLoggedError``...), so that ``except wandb.errors.X`` keeps working.

Exit codes (released; additions only): 0 done, 1 any other failure or "there are differences" where a command
says so, 2 bad input, 4 no such thing, 5 refused to protect something, 6 no space, 7 the repository's disk
failed, 8 a source file could not be read, 9 a remote failed, 10 not a repository, 11 a remote refused, 13 damaged
data, 14 a newer format, 130 interrupted, 141 the reader of a pipe went away.
"""

from typing import ClassVar


class ArtvcError(Exception):
    """The base of all failures that artvc reports.

    Args:
        message: one line: what went wrong, and where.
        hint: one line: what to do about it; None where there is nothing to say.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


Error = ArtvcError


class InvalidInput(ArtvcError, ValueError):
    """Something that the user gave is malformed; nothing was changed."""

    exit_code = 2
    kind = "invalid-input"


class NotAModel(InvalidInput, AssertionError):
    """An artifact was to be used as a model, and its type says that it is none."""


class LimitExceeded(InvalidInput):
    """Something is larger or deeper than the documented limit."""

    kind = "limit"


class InvalidType(ArtvcError, TypeError):
    """A value of the wrong Python type was given; nothing was changed."""

    exit_code = 2
    kind = "invalid-input"


class UsageError(ArtvcError):
    """A call that does not fit the state of the run or of the program."""

    exit_code = 2
    kind = "usage"


class ConfigError(ArtvcError):
    """A run's config was to be changed in a way that it forbids."""

    exit_code = 2
    kind = "config"


class CommError(ArtvcError):
    """What was asked for could not be had (W&B's name for it)."""

    kind = "unavailable"


class NotFound(CommError, ValueError):
    """There is no artifact, version, alias, run, file or object of that name."""

    exit_code = 4
    kind = "not-found"


class FileMissing(NotFound, FileNotFoundError):
    """There is no such file at an ``artvc://`` path; fsspec and what reads through it know FileNotFoundError."""


class RemoteError(CommError):
    """A remote could not be reached, or did not do its part; what had arrived there stays and is not sent again."""

    exit_code = 9
    kind = "remote"


class RemoteDenied(RemoteError):
    """A remote wants other credentials, or does not let these do that."""

    exit_code = 11
    kind = "remote-denied"


class WorkerError(CommError):
    """A worker was lost, can't be reached, or does not fit this process; nothing was recorded."""

    kind = "worker"


class Conflict(ArtvcError, ValueError):
    """The act would overwrite, move or contradict something; nothing was changed."""

    exit_code = 5
    kind = "conflict"


class StorageFull(ArtvcError):
    """The disk (or the quota) of the repository or of the target is used up."""

    exit_code = 6
    kind = "no-space"


class StorageError(ArtvcError):
    """The operating system refused to write or read the repository."""

    exit_code = 7
    kind = "storage"


class SourceError(ArtvcError):
    """A file of the user's could not be read, or changed while it was read."""

    exit_code = 8
    kind = "source"


class NotARepository(ArtvcError):
    """No ``.artvc`` here or above."""

    exit_code = 10
    kind = "not-a-repository"


class Damaged(ArtvcError):
    """Stored bytes are not what they were; nothing of them was handed out."""

    exit_code = 13
    kind = "damaged"


class MalformedObject(Damaged, ValueError):
    """Bytes that claim to be an object of artvc but break its format or its limits."""

    kind = "malformed"


class UnsupportedFormat(ArtvcError):
    """The repository was written by a newer artvc."""

    exit_code = 14
    kind = "unsupported-format"


class ArtifactStatusError(ArtvcError, AttributeError):
    """An artifact is not in the state that the call needs."""

    kind = "artifact-state"


class ArtifactNotLoggedError(ArtifactStatusError):
    """The artifact is still a draft; log it first."""


class ArtifactFinalizedError(ArtifactStatusError):
    """The artifact was logged and can't be changed; make a ``new_draft()``."""


class WaitTimeoutError(ArtvcError):
    """Kept for scripts written for W&B: artvc logs synchronously, so it is never raised."""
