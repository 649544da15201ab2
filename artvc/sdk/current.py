"""The run that this process is in, and the functions of ``artvc`` that work on it.

One run is current at a time.  It is finished by its ``with`` block, by :func:`finish`, by the next ``init`` where
that asks for it, or at the exit of the process; never by a forked child.
"""

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from artvc import recording
from artvc.errors import ArtvcError, Error, InvalidInput, NotFound, UsageError
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Commit
from artvc.sdk import environment, nouns, workspace
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.config import Config
from artvc.sdk.run import Run, RunInfo, outcome
from artvc.sdk.summary import Summary
from artvc.sdk.workspace import Workspace

# W&B's arguments that have no meaning without its server; taken without a word.
_WITHOUT_MEANING: Final = frozenset(
    {
        "anonymous",
        "config_exclude_keys",
        "config_include_keys",
        "force",
        "fork_from",
        "monitor_gym",
        "resume_from",
        "save_code",
        "settings",
        "sync_tensorboard",
        "tensorboard",
    }
)
_RESUME: Final = frozenset({"allow", "must", "never", "auto"})


class _Process:
    """What this module remembers for the process."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.unhandled: BaseException | None = None
        self.hooked = False


_process = _Process()


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: PathLike | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: object = None,
    config_exclude_keys: Sequence[str] | None = None,
    config_include_keys: Sequence[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    **more: object,
) -> Run:
    """Begin a run and make it the current one.

    Where there is no repository one is made: at the root of the surrounding git work tree, else in the working
    directory.  Values that are not given are taken from the environment: ``ARTVC_PROJECT``, ``ARTVC_DIR``,
    ``ARTVC_RUN_ID``, ``ARTVC_NAME``, ``ARTVC_NOTES``, ``ARTVC_TAGS`` (with commas), ``ARTVC_RUN_GROUP``,
    ``ARTVC_JOB_TYPE``, ``ARTVC_MODE``, ``ARTVC_RESUME``; or W&B's variables of those names.

    Args:
        entity: kept, without meaning here.
        project: the namespace of its artifacts; the repository's default project if not given.
        dir: where to look for the repository, or to make it.
        id: 1 to 64 letters, digits, ``_``, ``-``; eight random ones if not given.
        name: for people; such as ``sunny-smoke-1`` if not given.
        notes, tags, group, job_type: to find and sort it by.
        config: dict, ``argparse.Namespace``, or path of a YAML or JSON file.
        allow_val_change: allow config values to change (the default in notebooks).
        mode: "online" and "offline" record here alike; "disabled" records nothing.
        reinit: what becomes of a run that is under way: None or False returns it (in notebooks finishes it), True
            or "finish_previous" finishes it, "create_new" leaves it current beside the new one.
        resume: "allow" (or True) goes on with the run of that id if there is one, "must" fails if there is none,
            "never" fails if there is one; None begins it anew.
        config_exclude_keys, config_include_keys: keys of ``config`` to leave out, or to take only.
        force, more: W&B's other arguments, accepted without effect; unknown ones with one warning.

    Returns:
        the run, which is a context manager.

    Raises:
        UsageError: ``resume`` does not fit what is there.
        InvalidInput: a project, id or mode that is not allowed.
        UnsupportedFormat, Damaged, StorageError: the repository can't be used.
    """
    unknown = sorted(more.keys() - _WITHOUT_MEANING)
    if unknown:
        environment.warn(f"init: unknown arguments left out: {', '.join(unknown)}")
    before = _process.run
    if before is not None:
        choice = _reinit(reinit)
        if choice == "return_previous":
            return before
        if choice == "finish_previous":
            before.finish()
    allow = environment.in_notebook() if allow_val_change is None else allow_val_change
    info = RunInfo(
        id=names.check_run_id(id or environment.variable("RUN_ID") or recording.new_run_id()),
        name=name or environment.variable("NAME") or "",
        project=project or environment.variable("PROJECT") or "",
        entity=entity or environment.variable("ENTITY") or "",
        job_type=job_type or environment.variable("JOB_TYPE") or "",
        group=group or environment.variable("RUN_GROUP") or "",
        notes=notes or environment.variable("NOTES") or "",
        tags=_tags(tags),
        mode=_mode(mode),
    )
    if info.mode == "disabled":
        workspace.record_nothing()
        run = Run(None, _named(info, "disabled", 1), allow_val_change=allow, when_over=_leave)
    else:
        run = _begin(info, dir, resume, allow)
    run.config.update(_selected(config, config_include_keys, config_exclude_keys))
    _install_hooks()
    if _process.run is None:
        _process.run = run
    if info.mode != "disabled":
        _say_hello(run)
    return run


def _leave(run: Run) -> None:
    if _process.run is run:
        _process.run = None


def _begin(info: RunInfo, directory: PathLike | None, resume: bool | str | None, allow: bool) -> Run:
    place = workspace.find(directory)
    repo = place.repo
    project = names.check_project(info.project or repo.default_project)
    earlier, previous = _earlier(place, project, info.id, _resume(resume))
    if earlier is not None:
        info = _named(info, project, 0, name=info.name or earlier.run_name)
    else:
        info = _named(info, project, len(repo.runs(project)) + 1)
    return Run(place, info, allow_val_change=allow, earlier=earlier, previous=previous, when_over=_leave)


def _named(info: RunInfo, project: str, number: int, *, name: str | None = None) -> RunInfo:
    """The same with project and name filled in."""
    chosen = name or info.name or nouns.run_name(number)
    return dataclasses.replace(info, project=info.project or project, name=chosen)


def _earlier(place: Workspace, project: str, run_id: str, resume: str | None) -> tuple[Commit | None, Id | None]:
    """What is there of a run, if it is to be gone on with; and its last commit."""
    try:
        known = place.repo.run(project, run_id)
    except NotFound:
        if resume == "must":
            raise UsageError(
                f"no run {run_id!r} to resume in project {project!r}", hint="'artvc log' lists the runs"
            ) from None
        return None, None
    if resume == "never":
        raise UsageError(f"run {run_id!r} is there already", hint="choose another id, or resume='allow'")
    if resume is None:
        environment.warn(f"run {run_id!r} is begun anew; its earlier record stays as its previous commit")
        return None, known.commit
    return place.repo.commit(known.commit), known.commit


def _resume(given: bool | str | None) -> str | None:
    choice = given if given is not None else environment.variable("RESUME")
    if choice is True:
        return "allow"
    if choice in {None, False}:
        return None
    if choice not in _RESUME:
        raise InvalidInput(f"unknown resume {choice!r}", hint="use 'allow', 'must' or 'never'")
    return "allow" if choice == "auto" else str(choice)


def _reinit(given: bool | str | None) -> str:
    if given is True or (given in {None, "default"} and environment.in_notebook()):
        return "finish_previous"
    if given in {None, False, "default"}:
        return "return_previous"
    if given in {"return_previous", "finish_previous", "create_new"}:
        return str(given)
    raise InvalidInput(f"unknown reinit {given!r}", hint="use True, 'finish_previous' or 'create_new'")


def _mode(given: str | None) -> str:
    try:
        return environment.mode(given)
    except KeyError as exc:
        raise InvalidInput(f"unknown mode {exc.args[0]!r}", hint="use 'online', 'offline' or 'disabled'") from None


def _tags(given: Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        given = [one.strip() for one in (environment.variable("TAGS") or "").split(",") if one.strip()]
    return tuple(sorted(set([given] if isinstance(given, str) else map(str, given))))


def _selected(config: object, include: Sequence[str] | None, exclude: Sequence[str] | None) -> dict[str, Any]:
    """The config that was given, less what was to be left out."""
    given = Config()
    given.update(config)
    found = given.as_dict()
    if include is not None:
        return {key: value for key, value in found.items() if key in include}
    return {key: value for key, value in found.items() if key not in (exclude or ())}


def _say_hello(run: Run) -> None:
    verb = "goes on" if run.resumed else "begins"
    environment.say(f"run {run.name} ({run.id}) {verb} in project {run.project}; 'artvc log' lists the runs")


# -- the end of the process -------------------------------------------------------------------------------


def _install_hooks() -> None:
    """See to the end of the process and to forks; once."""
    if _process.hooked:
        return
    _process.hooked = True
    workspace.at_exit(_at_exit)
    os.register_at_fork(after_in_child=_after_fork)
    chained = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _process.unhandled = error
        chained(kind, error, trace)

    sys.excepthook = hook


def _at_exit() -> None:
    run = _process.run
    if run is not None:
        state, code = outcome(_process.unhandled)
        try:
            run._finish("crashed" if state == "failed" else state, code)
        except ArtvcError as exc:
            environment.warn(f"run {run.name} could not be recorded: {exc}")


def _after_fork() -> None:
    if _process.run is not None:
        _process.run._forget()
        _process.run = None


# -- artvc.config, artvc.log... ---------------------------------------------------------------------------


class _NoRun:
    """Stands for ``artvc.config`` and ``artvc.summary`` while there is no run: any use says so."""

    def __init__(self, what: str) -> None:
        object.__setattr__(self, "_what", what)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python looking for optional methods
            raise AttributeError(name)
        raise _no_run(f"{self._what}.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise _no_run(f"{self._what}.{name}")

    def __getitem__(self, key: str) -> Any:
        raise _no_run(f"{self._what}[{key!r}]")

    def __setitem__(self, key: str, value: object) -> None:
        raise _no_run(f"{self._what}[{key!r}]")

    def __repr__(self) -> str:
        return f"<artvc.{self._what}: no run>"


def _no_run(what: str) -> Error:
    return Error(f"You must call artvc.init() before artvc.{what}")


def current_run() -> Run | None:
    """``artvc.run``: the run that the process is in, or None."""
    return _process.run


def current_config() -> Config | _NoRun:
    """``artvc.config``: that of the current run."""
    return _process.run.config if _process.run else _NoRun("config")


def current_summary() -> Summary | _NoRun:
    """``artvc.summary``: that of the current run."""
    return _process.run.summary if _process.run else _NoRun("summary")


def _current(what: str) -> Run:
    if _process.run is None:
        raise _no_run(f"{what}()")
    return _process.run


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, sync: bool | None = None) -> None:
    """:meth:`Run.log` of the current run.  Raises Error where there is none."""
    _current("log").log(data, step, commit, sync)


def save(glob_str: PathLike | None = None, base_path: PathLike | None = None, policy: str = "live") -> list[str]:
    """:meth:`Run.save` of the current run.  Raises Error where there is none."""
    return _current("save").save(glob_str, base_path, policy)


def log_artifact(
    artifact_or_path: Artifact | PathLike,
    name: str | None = None,
    type: str | None = None,
    aliases: str | Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    **more: object,
) -> Artifact:
    """:meth:`Run.log_artifact` of the current run.  Raises Error where there is none."""
    return _current("log_artifact").log_artifact(artifact_or_path, name, type, aliases, tags, **more)


def use_artifact(
    artifact_or_name: Artifact | str,
    type: str | None = None,
    aliases: str | Sequence[str] | None = None,
    use_as: str | None = None,
    **more: object,
) -> Artifact:
    """:meth:`Run.use_artifact` of the current run.  Raises Error where there is none."""
    return _current("use_artifact").use_artifact(artifact_or_name, type, aliases, use_as, **more)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """:meth:`Run.finish` of the current run; nothing where there is none."""
    if _process.run is not None:
        _process.run.finish(exit_code, quiet)
