"""``artvc.Settings``: what scripts written for W&B pass as ``init(settings=...)``."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from artvc.errors import InvalidType

# Those that mean the same as an argument of init().
ARGUMENTS: Final = {
    "allow_val_change": "allow_val_change",
    "entity": "entity",
    "mode": "mode",
    "project": "project",
    "reinit": "reinit",
    "resume": "resume",
    "root_dir": "dir",
    "run_group": "group",
    "run_id": "id",
    "run_job_type": "job_type",
    "run_name": "name",
    "run_notes": "notes",
    "run_tags": "tags",
    "wandb_dir": "dir",
}


class Settings(MutableMapping[str, Any]):
    """Settings of a run, by name; readable as attributes and as items.

    Those that :func:`artvc.init` has an argument for (``project``, ``entity``, ``mode``, ``run_id``, ``run_name``,
    ``run_group``, ``run_job_type``, ``run_notes``, ``run_tags``, ``resume``, ``reinit``, ``root_dir``) stand for that
    argument where it is not given; ``silent`` and ``quiet`` keep the run from printing; ``all_ranks`` lets every
    process of a distributed job make its run.  W&B's others concern its server and service: they are kept and have
    no effect.  One that was not set is None.
    """

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._values.get(name)

    def __setattr__(self, name: str, value: object) -> None:
        self._values[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{key}={value!r}' for key, value in self._values.items())})"


def settings_of(given: object) -> Settings:
    """What was passed as settings: a :class:`Settings`, a mapping, or None.

    Raises:
        InvalidType: nothing of that.
    """
    if given is None:
        return Settings()
    if isinstance(given, Mapping):
        return Settings(**{str(key): value for key, value in given.items()})
    raise InvalidType(f"settings must be artvc.Settings or a dict, not {type(given).__name__}")
