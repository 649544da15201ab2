"""The run that this process is in, and the functions of ``artvc`` that work on it.

One run is current at a time.  It is finished by its ``with`` block, by :func:`finish`, by the next ``init`` where
that asks for it, or at the exit of the process; never by a forked child.  A process that is not the first of its
distributed job gets a run that records nothing, unless it asks for one of its own.
"""

import dataclasses
import datetime
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace, TracebackType
from typing import Any, Final, NoReturn, TextIO

from artvc import recording
from artvc.errors import ArtvcError, Error, InvalidInput, NotFound, UsageError
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Commit
from artvc.sdk import config_file, environment, leftovers, nouns, process, run_settings, workspace
from artvc.sdk import run as runs
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.config import Config
from artvc.sdk.leftovers import Leftover
from artvc.sdk.metrics import Metric
from artvc.sdk.run import AlertLevel, Run, RunInfo, outcome
from artvc.sdk.run_settings import Settings
from artvc.sdk.summary import Summary
from artvc.sdk.workspace import Workspace

# W&B's arguments that do something there and nothing here; said once where they are given.
_WITHOUT_EFFECT: Final = ("resume_from", "fork_from", "tensorboard", "sync_tensorboard", "monitor_gym")
_DEFAULTS: Final = "config-defaults.yaml"
_LOOKED_AT: Final = 200  # of the recorded runs, when the last unfinished one is sought
_RESUME: Final = frozenset({"allow", "must", "never", "auto"})


class _Process:
    """What this module remembers for the process.

    Attributes:
        run: the current one.
        open: all that are under way, in the order of their beginning.
        parents: the run that was current where this process was forked.
        unhandled: the exception that ends the process, and ``exit_code`` what ``sys.exit`` was told.
        settings: what ``setup`` was given.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.open: list[Run] = []
        self.parents: Run | None = None
        self.unhandled: BaseException | None = None
        self.exit_code: object = None
        self.hooked = False
        self.settings = Settings()
        self.told_of_rank = False


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
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: object = None,
    **more: object,
) -> Run:
    """Begin a run and make it the current one.

    Where there is no repository one is made: at the root of the surrounding git work tree, else in the working
    directory.  Values that are not given are taken from ``settings``, then from the environment: ``ARTVC_PROJECT``,
    ``ARTVC_ENTITY``, ``ARTVC_DIR``, ``ARTVC_RUN_ID``, ``ARTVC_NAME``, ``ARTVC_NOTES``, ``ARTVC_TAGS`` (with commas),
    ``ARTVC_RUN_GROUP``, ``ARTVC_JOB_TYPE``, ``ARTVC_MODE``, ``ARTVC_RESUME``, ``ARTVC_CONFIG_PATHS`` (files, with
    commas); or W&B's variables of those names.  ``config-defaults.yaml`` in the working directory gives the config
    its first values.  ``ARTVC_SILENT=true`` keeps artvc from printing, ``ARTVC_DISABLED=true`` is
    ``mode="disabled"``.

    In a distributed job (``torch.distributed``, or the variables RANK, LOCAL_RANK, SLURM_PROCID,
    OMPI_COMM_WORLD_RANK, PMI_RANK) only the first process records; in the others the run is a disabled one.  They
    record too where they are told to: by ``group``, an ``id`` of their own, ``mode="shared"``,
    ``settings={"all_ranks": True}``, or ``ARTVC_ALL_RANKS=true``.

    Args:
        entity: kept, without meaning here.
        project: the namespace of its artifacts; the repository's default project if not given.
        dir: where to look for the repository, or to make it.
        id: 1 to 64 letters, digits, ``_``, ``-``; eight random ones if not given.
        name: for people; such as ``sunny-smoke-1`` if not given.
        notes, tags, group, job_type: to find and sort it by.
        config: dict, ``argparse.Namespace``, absl's flags, or path of a YAML or JSON file.
        config_exclude_keys, config_include_keys: keys of ``config`` to leave out, or to take only; one of the two.
        allow_val_change: allow config values to change (the default in notebooks).
        mode: "online", "offline" and "shared" record here alike; "disabled" records nothing.
        reinit: what becomes of a run that is under way: None, False or "return_previous" returns it (in notebooks
            None finishes it), True or "finish_previous" finishes it, "create_new" leaves it current beside the new
            one.
        resume: "allow" (or True) goes on with the run of that id if there is one, "must" fails if there is none,
            "never" fails if there is one; "auto" goes on with the last unfinished run of this project that this
            program began in this directory on this machine; None begins it anew.  A run that was killed is recorded
            as crashed first, so that nothing of it is lost.
        settings: :class:`artvc.Settings` or a dict.
        force, save_code, anonymous: accepted for W&B's sake (the code is recorded by its git commit and patch).
        resume_from, fork_from, tensorboard, sync_tensorboard, monitor_gym: accepted without effect, with a warning.
        more: unknown arguments, left out with one warning.

    Returns:
        the run, which is a context manager.

    Raises:
        UsageError: ``resume`` does not fit what is there, or a process that is alive writes the run of that id.
        InvalidInput: a project, id or mode that is not allowed.
        ConfigError: a config file that can't be read.
        UnsupportedFormat, Damaged, StorageError: the repository can't be used.
    """
    if more:
        environment.warn(f"init: unknown arguments left out: {', '.join(sorted(more))}")
    given = dict(
        zip(_WITHOUT_EFFECT, (resume_from, fork_from, tensorboard, sync_tensorboard, monitor_gym), strict=True)
    )
    if any(given.values()):
        environment.warn(f"init: without effect here: {', '.join(key for key, value in given.items() if value)}")
    chosen = Settings(**{**_process.settings, **run_settings.settings_of(settings)})
    told = _from_settings(
        chosen,
        {"allow_val_change": allow_val_change, "dir": dir, "entity": entity, "group": group, "id": id, "mode": mode}
        | {"job_type": job_type, "name": name, "notes": notes, "project": project, "reinit": reinit}
        | {"resume": resume, "tags": tags},
    )
    before, choice = _process.run, _reinit(told["reinit"])
    if before is not None:
        if choice == "return_previous":
            return before
        if choice == "finish_previous":
            before.finish()
    allow = environment.in_notebook() if told["allow_val_change"] is None else bool(told["allow_val_change"])
    info = RunInfo(
        id=names.check_run_id(told["id"] or environment.variable("RUN_ID") or recording.new_run_id()),
        name=told["name"] or environment.variable("NAME") or "",
        project=told["project"] or environment.variable("PROJECT") or "",
        entity=told["entity"] or environment.variable("ENTITY") or "",
        job_type=told["job_type"] or environment.variable("JOB_TYPE") or "",
        group=told["group"] or environment.variable("RUN_GROUP") or "",
        notes=told["notes"] or environment.variable("NOTES") or "",
        tags=_tags(told["tags"]),
        mode=_mode(told["mode"]),
    )
    values = _selected(config, config_include_keys, config_exclude_keys)  # a bad one must not begin a run
    environment.hush(bool(chosen.silent))
    asks = bool(told["id"] or info.group or chosen.all_ranks or environment.flag("ALL_RANKS"))
    if info.mode != "disabled" and not asks and (told["mode"] or environment.variable("MODE")) != "shared":
        info = _of_first_rank(info)
    if info.mode == "disabled":
        workspace.record_nothing()
        run = Run(None, _named(info, "disabled", 1), allow_val_change=allow, settings=chosen, when_over=_leave)
    else:
        run = _begin(info, told["dir"], told["resume"], allow, chosen, chosen_id=bool(told["id"]))
    run.config.update(values, allow_val_change=True if run.resumed else None)
    _install_hooks()
    _process.open.append(run)
    if _process.run is None:
        _process.run = run
    if info.mode != "disabled" and not (chosen.silent or chosen.quiet):
        _say_hello(run)
    return run


def _from_settings(chosen: Settings, told: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``init``, those that were not given as the settings have them."""
    for name, argument in run_settings.ARGUMENTS.items():
        if told[argument] is None:
            told[argument] = chosen.get(name)
    return told


def _of_first_rank(info: RunInfo) -> RunInfo:
    """The same, disabled where this process is not the first of its distributed job."""
    rank = process.rank()
    if not rank:
        return info
    if not _process.told_of_rank:
        _process.told_of_rank = True
        environment.say(f"process {rank} of a distributed job records nothing; pass group= to record each of them")
    return dataclasses.replace(info, mode="disabled")


def _leave(run: Run) -> None:
    if run in _process.open:
        _process.open.remove(run)
    if _process.run is run:
        _process.run = None


def _begin(
    info: RunInfo,
    directory: PathLike | None,
    resume: bool | str | None,
    allow: bool,
    settings: Settings,
    *,
    chosen_id: bool,
) -> Run:
    place = workspace.find(directory)
    repo = place.repo
    project = names.check_project(info.project or repo.default_project)
    how = _resume(resume)
    if how == "auto":
        last = None if chosen_id or environment.variable("RUN_ID") else _last_unfinished(place, project)
        info, how = dataclasses.replace(info, id=last or info.id), "allow"
    _take_in_killed(place, info.id, goes_on=how in {"allow", "must"})
    earlier, previous = _earlier(place, project, info.id, how)
    if earlier is not None:
        info = _named(info, project, 0, name=info.name or earlier.run_name)
        info = dataclasses.replace(
            info,
            job_type=info.job_type or earlier.job_type,
            group=info.group or earlier.group,
            notes=info.notes or earlier.notes,
            tags=info.tags or earlier.tags,
        )
    else:
        info = _named(info, project, len(repo.runs(project)) + 1)
    return Run(
        place,
        info,
        allow_val_change=allow,
        earlier=earlier,
        previous=previous,
        settings=settings,
        when_over=_leave,
    )


def _take_in_killed(place: Workspace, run_id: str, *, goes_on: bool) -> None:
    """Record what a killed run of that id left, so that nothing of it is lost.

    Raises:
        UsageError: the run is under way in a process that is alive.
    """
    left = leftovers.find(place.repo, run_id)
    if left is None:
        return
    if left.is_here and not _is_over(left):
        raise UsageError(
            f"run {run_id!r} is under way in process {left.pid}", hint="wait for its end, or choose another id"
        )
    if not left.is_here:
        environment.warn(f"run {run_id!r} may be under way on {left.host}; it is taken over")
    leftovers.recover(place.repo, left, clear=not goes_on)


def _is_over(left: Leftover) -> bool:
    """Whether a run's process is gone, or this one, which has ended that run."""
    if left.pid == os.getpid():
        return not any(run.id == left.id for run in _process.open)
    return left.is_dead


def _last_unfinished(place: Workspace, project: str) -> str | None:
    """The id of the last run of a project, not ended well, that this program began in this directory and machine."""
    repo = place.repo
    found = [
        (left.started, left.id)
        for left in leftovers.everything(repo)
        if left.project == project and left.is_here and _is_over(left) and _is_ours(left.note.get("code"))
    ]
    running = {left.id for left in leftovers.everything(repo)}
    for run in repo.runs(project)[:_LOOKED_AT]:
        commit = repo.commit(run.commit)
        here = commit.environment.get("host") == process.host() and _is_ours(commit.code)
        if here and commit.state != "finished" and commit.run_id not in running:
            found.append((commit.started, commit.run_id))
    return max(found, default=("", None))[1]


def _is_ours(code: object) -> bool:
    """Whether recorded code is this program in this directory."""
    if not isinstance(code, dict):
        return False
    argv = code.get("argv")
    return code.get("directory") == os.getcwd() and isinstance(argv, list) and argv[1:2] == sys.argv[:1]


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
        raise InvalidInput(f"unknown resume {choice!r}", hint="use 'allow', 'must', 'never' or 'auto'")
    return str(choice)


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
    """The config that was given, less what was to be left out, on top of the defaults in files."""
    if include and exclude:
        raise UsageError("config_include_keys and config_exclude_keys can't both be given")
    given = Config()
    given.update(config)
    found = given.as_dict()
    if include:
        found = {key: value for key, value in found.items() if key in include}
    found = {key: value for key, value in found.items() if key not in (exclude or ())}
    files = [one.strip() for one in (environment.variable("CONFIG_PATHS") or "").split(",") if one.strip()]
    if os.path.isfile(_DEFAULTS):
        files.insert(0, _DEFAULTS)
    defaults = Config(allow_val_change=True)
    for path in files:
        defaults.update(config_file.read(path))
    return {**defaults.as_dict(), **found}


def _say_hello(run: Run) -> None:
    verb = "goes on" if run.resumed else "begins"
    environment.say(
        f"run {run.name} {verb} in project {run.project} of {run.repository}; "
        f"'artvc run show {run.id}' shows it, 'artvc log' lists all"
    )


# -- the end of the process -------------------------------------------------------------------------------


def _install_hooks() -> None:
    """See to the end of the process and to forks; once."""
    if _process.hooked:
        return
    _process.hooked = True
    workspace.at_exit(_at_exit)
    os.register_at_fork(after_in_child=_after_fork)
    chained = sys.excepthook
    leave = sys.exit

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _process.unhandled = error
        chained(kind, error, trace)

    def note_and_exit(status: Any = None, /) -> NoReturn:
        _process.exit_code = status
        leave(status)

    sys.excepthook = hook
    sys.exit = note_and_exit  # the one way to learn the exit code: no hook is told of it


def _at_exit() -> None:
    error = _process.unhandled
    state, code = outcome(error if error is not None else SystemExit(_process.exit_code))
    for run in reversed(_process.open):
        try:
            run._finish("crashed" if error is not None and state == "failed" else state, code)
        except ArtvcError as exc:
            environment.warn(f"run {run.name} could not be recorded: {exc}; 'artvc run recover' tries again")


def _after_fork() -> None:
    for run in _process.open:
        run._forget()
    _process.parents = _process.run or _process.parents
    _process.run = None
    _process.open = []


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
    """``artvc.config``: that of the current run; in a forked child, of the parent's."""
    run = _process.run or _process.parents
    return run.config if run else _NoRun("config")


def current_summary() -> Summary | _NoRun:
    """``artvc.summary``: that of the current run; in a forked child, of the parent's."""
    run = _process.run or _process.parents
    return run.summary if run else _NoRun("summary")


def _current(what: str) -> Run:
    """The current run; in a forked child the parent's, which takes nothing from there."""
    run = _process.run or _process.parents
    if run is None:
        raise _no_run(f"{what}()")
    return run


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


def upsert_artifact(
    artifact_or_path: Artifact | PathLike,
    name: str | None = None,
    type: str | None = None,
    aliases: str | Sequence[str] | None = None,
    distributed_id: str | None = None,
) -> Artifact:
    """:meth:`Run.upsert_artifact` of the current run.  Raises Error where there is none."""
    return _current("upsert_artifact").upsert_artifact(artifact_or_path, name, type, aliases, distributed_id)


def finish_artifact(
    artifact_or_path: Artifact | PathLike,
    name: str | None = None,
    type: str | None = None,
    aliases: str | Sequence[str] | None = None,
    distributed_id: str | None = None,
) -> Artifact:
    """:meth:`Run.finish_artifact` of the current run.  Raises Error where there is none."""
    return _current("finish_artifact").finish_artifact(artifact_or_path, name, type, aliases, distributed_id)


def link_artifact(artifact: Artifact, target_path: str, aliases: str | Sequence[str] | None = None) -> Artifact | None:
    """:meth:`Run.link_artifact` of the current run.  Raises Error where there is none."""
    return _current("link_artifact").link_artifact(artifact, target_path, aliases)


def log_model(path: PathLike, name: str | None = None, aliases: str | Sequence[str] | None = None) -> Artifact:
    """:meth:`Run.log_model` of the current run.  Raises Error where there is none."""
    return _current("log_model").log_model(path, name, aliases)


def use_model(name: str) -> str:
    """:meth:`Run.use_model` of the current run.  Raises Error where there is none."""
    return _current("use_model").use_model(name)


def link_model(
    path: PathLike,
    registered_model_name: str,
    name: str | None = None,
    aliases: str | Sequence[str] | None = None,
) -> Artifact | None:
    """:meth:`Run.link_model` of the current run.  Raises Error where there is none."""
    return _current("link_model").link_model(path, registered_model_name, name, aliases)


def log_code(
    root: str | None = ".",
    name: str | None = None,
    include_fn: Callable[..., bool] | None = None,
    exclude_fn: Callable[..., bool] | None = None,
) -> Artifact | None:
    """:meth:`Run.log_code` of the current run.  Raises Error where there is none."""
    return _current("log_code").log_code(root, name, include_fn, exclude_fn)


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


def define_metric(
    name: str,
    step_metric: str | Metric | None = None,
    step_sync: bool | None = None,
    hidden: bool | None = None,
    summary: str | Sequence[str] | None = None,
    overwrite: bool | None = None,
    goal: str | None = None,
) -> Metric:
    """:meth:`Run.define_metric` of the current run.  Raises Error where there is none."""
    return _current("define_metric").define_metric(name, step_metric, step_sync, hidden, summary, overwrite, goal)


def watch(
    models: object,
    criterion: object = None,
    log: str | None = "gradients",
    log_freq: int = 1000,
    idx: int | None = None,
    log_graph: bool = False,
) -> None:
    """:meth:`Run.watch` of the current run.  Raises Error where there is none."""
    _current("watch").watch(models, criterion, log, log_freq, idx, log_graph)


def unwatch(models: object = None) -> None:
    """:meth:`Run.unwatch` of the current run.  Raises Error where there is none."""
    _current("unwatch").unwatch(models)


def alert(
    title: str,
    text: str,
    level: str | AlertLevel | None = None,
    wait_duration: int | float | datetime.timedelta | None = None,
) -> None:
    """:meth:`Run.alert` of the current run.  Raises Error where there is none."""
    _current("alert").alert(title, text, level, wait_duration)


def restore(name: str, run_path: str | None = None, replace: bool = False, root: PathLike | None = None) -> TextIO:
    """:meth:`Run.restore` of the current run; without one, of the run that ``run_path`` names."""
    run = _process.run
    if run is not None:
        return run.restore(name, run_path, replace, root)
    return runs.restore(workspace.find(), None, name, run_path, replace, root)


def mark_preempting() -> None:
    """:meth:`Run.mark_preempting` of the current run.  Raises Error where there is none."""
    _current("mark_preempting").mark_preempting()


def join(exit_code: int | None = None) -> None:
    """:func:`finish`, as W&B once spelt it."""
    finish(exit_code)


# -- what W&B needs for its server ------------------------------------------------------------------------


def login(*args: object, **more: object) -> bool:
    """Nothing to do: there is no server and no account.  Takes W&B's arguments and returns True."""
    return True


def setup(settings: Settings | Mapping[str, Any] | None = None) -> SimpleNamespace:
    """Keep settings for the runs of this process.

    Args:
        settings: what :func:`init` takes too, where it goes before.

    Returns:
        a value with the attribute ``settings``.
    """
    _process.settings.update(run_settings.settings_of(settings))
    return SimpleNamespace(settings=_process.settings)


def teardown(exit_code: int | None = None) -> None:
    """Finish all runs of this process and forget the settings of :func:`setup`."""
    for run in list(_process.open):
        run.finish(exit_code)
    _process.settings = Settings()


def require(requirement: object = None, experiment: object = None) -> None:
    """Nothing to do: W&B's switch for features to come."""


def _teller(before: str) -> Callable[..., None]:
    def tell(string: object = "", newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
        text = f"{before}{string}"
        if not repeat and text in _told:
            return
        _told.add(text)
        for line in text.splitlines() or [""]:
            environment.say(line)

    return tell


_told: set[str] = set()
termlog = _teller("")
termwarn = _teller("warning: ")
termerror = _teller("error: ")
