"""Scripts that ``import wandb`` and can't be edited: artvc stands in for it.

In the shell::

    python -m artvc.shim train.py --lr 0.1        # or: python -m artvc.shim -m package.train --lr 0.1

In Python, before the first ``import wandb``::

    import artvc.shim
    artvc.shim.install()

``wandb`` is then a module that hands out artvc's names, and so are the submodules that scripts and libraries commonly
import.  A submodule that is not here is not found, as one that W&B does not have.  Processes that the script
starts find artvc, too.
"""

import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import os
import runpy
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final

from artvc.errors import UsageError
from artvc.sdk import environment, missing

# The version of W&B's API that artvc follows; scripts and libraries compare it with what they need.
WANDB_VERSION: Final = "0.31.0"
PATH: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim_path")
USAGE: Final = "usage: python -m artvc.shim [-m] SCRIPT [ARGUMENTS]"

_RUN: Final = "artvc.sdk.run:Run"
_ID: Final = "artvc.recording:new_run_id"
_MEDIA: Final = {"": "artvc"}
_ERRORS: Final = {
    "": "artvc.errors",
    "AuthenticationError": "artvc.errors:CommError",
    "UnsupportedError": "artvc.errors:UsageError",
    "WandbCoreNotAvailableError": "artvc.errors:UsageError",
}
_TERM: Final = {name: f"artvc.shim:{name}" for name in ("termerror", "termlog", "termwarn")}
_PUBLIC: Final = {
    "": "artvc.sdk.api",
    "Run": "artvc.sdk.logged_run:LoggedRun",
    "File": "artvc.sdk.logged_run:RunFile",
    "Runs": "artvc.sdk.listing:Listing",
    "Files": "artvc.sdk.listing:Listing",
    "Artifacts": "artvc.sdk.listing:Listing",
    "ArtifactCollections": "artvc.sdk.listing:Listing",
    "ArtifactTypes": "artvc.sdk.listing:Listing",
    "Projects": "artvc.sdk.listing:Listing",
}
# What each module has: name to "module:attribute".  The name "" is a module whose names are all there.
MODULES: Final[Mapping[str, Mapping[str, str]]] = {
    "wandb": {"": "artvc", **_TERM},
    "wandb.apis": {"": "artvc"},
    "wandb.apis.public": _PUBLIC,
    "wandb.apis.public.api": _PUBLIC,
    "wandb.apis.public.artifacts": _PUBLIC,
    "wandb.apis.public.files": _PUBLIC,
    "wandb.apis.public.projects": _PUBLIC,
    "wandb.apis.public.runs": _PUBLIC,
    "wandb.data_types": _MEDIA,
    "wandb.env": {"": "artvc.sdk.wandb_env"},
    "wandb.errors": _ERRORS,
    "wandb.errors.errors": _ERRORS,
    "wandb.errors.term": _TERM,
    "wandb.plot": {"": "artvc.sdk.plot"},
    "wandb.sdk": {"": "artvc"},
    "wandb.sdk.artifacts": {},
    "wandb.sdk.artifacts.artifact": {"Artifact": "artvc.sdk.artifact:Artifact"},
    "wandb.sdk.artifacts.artifact_manifest_entry": {"ArtifactManifestEntry": "artvc.sdk.artifact:ManifestEntry"},
    "wandb.sdk.artifacts.exceptions": {"": "artvc.errors"},
    "wandb.sdk.data_types": {},
    "wandb.sdk.data_types.audio": _MEDIA,
    "wandb.sdk.data_types.histogram": _MEDIA,
    "wandb.sdk.data_types.html": _MEDIA,
    "wandb.sdk.data_types.image": _MEDIA,
    "wandb.sdk.data_types.table": _MEDIA,
    "wandb.sdk.data_types.video": _MEDIA,
    "wandb.sdk.lib": {"RunDisabled": _RUN},
    "wandb.sdk.lib.config_util": {"ConfigError": "artvc.errors:ConfigError"},
    "wandb.sdk.lib.disabled": {"RunDisabled": _RUN},
    "wandb.sdk.lib.runid": {"generate_id": _ID},
    "wandb.sdk.wandb_config": {"Config": "artvc.sdk.config:Config"},
    "wandb.sdk.wandb_init": {"init": "artvc.sdk.current:init"},
    "wandb.sdk.wandb_run": {"Run": _RUN},
    "wandb.sdk.wandb_settings": {"Settings": "artvc:Settings"},
    "wandb.sdk.wandb_summary": {"Summary": "artvc.sdk.summary:Summary"},
    "wandb.util": {"": "artvc.sdk.wandb_util"},
    "wandb.wandb_run": {"Run": _RUN},
}


def termlog(string: str = "", *_: object, **__: object) -> None:
    """Tell the user something, on stderr."""
    environment.say(string)


def termwarn(string: str = "", *_: object, **__: object) -> None:
    """Warn the user of something, on stderr."""
    environment.warn(string)


termerror = termwarn


class _StandIn(ModuleType):
    """A module whose names are those of artvc, looked up each time (``wandb.run`` changes)."""

    def __getattr__(self, name: str) -> object:
        table = MODULES[self.__name__]
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if f"{self.__name__}.{name}" in MODULES:
            return importlib.import_module(f"{self.__name__}.{name}")
        whole = importlib.import_module(table[""]) if "" in table else None
        if hasattr(whole, name):
            return getattr(whole, name)
        if name in table:
            module, _, attribute = table[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if self.__name__ == "wandb" and (why := missing.reason(name)) is not None:
            raise AttributeError(why)
        raise AttributeError(
            f"artvc's stand-in for {self.__name__!r} has no {name!r}; 'artvc help wandb' says what it has"
        )

    def __dir__(self) -> list[str]:
        table = MODULES[self.__name__]
        found = {name for name in table if name}
        if "" in table:
            found |= {one for one in dir(importlib.import_module(table[""])) if not one.startswith("_")}
        return sorted(found | set(vars(self)))


class _Distribution(importlib.metadata.Distribution):
    """What ``importlib.metadata`` says of wandb, for libraries that look there for its version."""

    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: wandb\nVersion: {WANDB_VERSION}\n" if filename == "METADATA" else None

    def locate_file(self, path: "str | os.PathLike[str]") -> Path:
        return Path(PATH, path)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``wandb`` and what is below it; first in line, so that an installed W&B is not found."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 -- what the import system passes
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        return ModuleSpec(fullname, self, origin=PATH, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name, f"artvc standing in for {spec.name}.")

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "wandb":
            module.__version__ = WANDB_VERSION  # type: ignore[attr-defined]
            module.__all__ = [  # type: ignore[attr-defined]  # of ``from wandb import *``
                name for name in importlib.import_module("artvc").__all__ if not name.startswith("_")
            ]

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        name = context.name if context is not None else None
        return [_Distribution()] if name == "wandb" else []


def install() -> None:
    """Let ``import wandb`` mean artvc from now on, in this process.  Twice is harmless.

    Raises:
        UsageError: W&B itself is imported already.
    """
    found = sys.modules.get("wandb")
    if found is not None and not isinstance(found, _StandIn):
        raise UsageError("wandb is imported already", hint="call artvc.shim.install() before that")
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _lead_children() -> None:
    """Let processes that the script starts find artvc under wandb's name, too."""
    sys.path.insert(1, PATH)
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([PATH, known] if known else [PATH])


def _run_script(path: str) -> None:
    if not os.path.exists(path):
        print(f"artvc.shim: no script {path!r}", file=sys.stderr)
        raise SystemExit(2)
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    _lead_children()
    runpy.run_path(path, run_name="__main__")


def _run_module(name: str) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        print(f"artvc.shim: no module {name!r}", file=sys.stderr)
        raise SystemExit(2)
    _lead_children()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _of_the_script(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that led to the script."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__ or trace.tb_frame.f_globals.get("__name__") == "runpy"
    ):
        trace = trace.tb_next
    return trace


def main(arguments: Sequence[str]) -> None:
    """Run a script or module as Python would, with wandb being artvc.

    Args:
        arguments: of the command line: the script, or ``-m`` and a module, and what they get.

    Raises:
        SystemExit: as the script raised it; 1 where it failed, 2 where there is none.
    """
    by_name = arguments[:1] == ["-m"]
    words = list(arguments[1:] if by_name else arguments)
    if not words or words[0] in {"-h", "--help"}:
        print(USAGE, file=sys.stdout if words else sys.stderr)
        raise SystemExit(0 if words else 2)
    install()
    sys.argv = words
    try:
        _run_module(words[0]) if by_name else _run_script(words[0])
    except SystemExit:
        raise
    except BaseException as error:
        error.__traceback__ = _of_the_script(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    else:
        return
    raise SystemExit(code)


if __name__ == "__main__":
    # Under this name it is the module that install() of the script's own would find.
    sys.modules["artvc.shim"] = sys.modules["__main__"]
    main(sys.argv[1:])
