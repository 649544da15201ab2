"""Commits whose files other processes read: the same versions, whatever happens to the workers."""

import contextlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from artvc import recording, settings, worktree
from artvc import workers as workers_module
from artvc.cli import worker
from artvc.errors import Conflict, InvalidInput, NotFound, RemoteError, SourceError, WorkerError
from artvc.maintenance import fsck
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.sdk.repo import Repo
from artvc.settings import Settings
from artvc.sync import sharing
from artvc.sync.sharing import Work
from artvc.sync.tracking import Tracking
from artvc.workers import commit_with, do_task, publish
from tests.faults.faulty_disk import Cut, DyingDisk, Killed, PointDisk
from tests.remotes.bucket_server import Answer, serving

SETTINGS = Settings(sync=False, author_name="Ada", author_email="ada@example.com")
LET_AGE = 0.1  # seconds after which the status of a file is trusted


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files of all kinds."""
    root = tmp_path / "files"
    (root / "texts" / "deep").mkdir(parents=True)
    (root / "nothing in it").mkdir()
    for number in range(60):
        (root / "texts" / f"{number} ä.txt").write_text(f"text {number}\n" * number)
    (root / "texts" / "deep" / "zero").write_bytes(bytes(300_000))
    (root / "big.bin").write_bytes(random.Random(5).randbytes(3_000_000))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "inside").symlink_to("texts/1 ä.txt")
    (tmp_path / "outside.txt").write_text("from elsewhere")
    (root / "outside").symlink_to(tmp_path / "outside.txt")
    (root / ".artvcignore").write_text("*.tmp\n")
    (root / "left out.tmp").write_text("no")
    return root


@pytest.fixture
def server():
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")
    with serving() as running:
        yield running


@pytest.fixture(params=["directory", "bucket"])
def place(request, tmp_path, monkeypatch):
    """The address of an empty remote that workers reach."""
    if request.param == "directory":
        (tmp_path / "remote").mkdir()
        return str(tmp_path / "remote")
    server = request.getfixturevalue("server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.bucket}/models"


@pytest.fixture
def directory(tmp_path) -> str:
    (tmp_path / "remote").mkdir()
    return str(tmp_path / "remote")


@pytest.fixture
def many_tasks(monkeypatch):
    monkeypatch.setattr(workers_module, "TASK_FILES", 7)


def work() -> Work:
    return Work(environ=dict(os.environ), now=settings.now)


def repository(root: Path, place: str) -> Repository:
    root.mkdir()
    repo, _ = Repository.create(root, settings=SETTINGS)
    sharing.add_remote(repo, "origin", place, work(), base=root)
    return repo


def request_of(files: Path, **said) -> CommitRequest:
    return CommitRequest(paths=(files,), name="data", type="dataset", **said)


def spread(repo: Repository, files: Path, spec: str = "threads:2", run=worker.run, **said):
    """Commit with workers, without pushing."""
    return commit_with(repo, request_of(files), spec, remote="origin", work=work(), run=run, **said)


def local_version(tmp_path: Path, files: Path):
    root = tmp_path / "local"
    root.mkdir()
    with Repository.create(root, settings=SETTINGS)[0] as repo:
        return recording.commit_paths(repo, request_of(files), now=settings.now).logged.version.artifact_id


def listed(root: Path) -> dict[str, object]:
    """What lies in a directory: bytes, where links point, and who may run it."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if ".artvc" in path.relative_to(root).parts or path.suffix == ".tmp":
            continue
        if path.is_symlink() and not os.path.isabs(os.readlink(path)):
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


def cloned(target: Path, place: str, files: Path) -> None:
    """A fresh clone of a remote has exactly the files, and is sound with all of its data."""
    repo, _ = sharing.clone(place, target, work(), base=target.parent, settings=SETTINGS)
    with repo:
        sharing.attach(repo, work())
        found = repo.resolve("data")
        worktree.checkout(repo, found.version, target)
        assert listed(target) == listed(files)
        sharing.bring(repo, work(), everything=True)
        assert not fsck(repo).problems


def data_packs(repo: Repository) -> list[str]:
    return [one for one in repo.objects.index.packs if repo.objects.content_of(one) == 1]


# -- the same version --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["threads:2", "processes:2"])
def test_the_version_is_that_of_a_local_commit_and_a_clone_has_its_bytes(tmp_path, files, place, many_tasks, spec):
    done = []
    with repository(tmp_path / "repo", place) as repo:
        result = spread(repo, files, spec, advance=done.append)
        assert result.logged.version.artifact_id == local_version(tmp_path, files)
        assert sum(done) == result.recorded.totals.read == result.logged.artifact.size - len("texts/1 ä.txt".encode())
        repo.objects.refresh()
        assert data_packs(repo) == []
        pushed = publish(repo, result, "origin", work())
        assert pushed.packs == 0 and pushed.edits
        assert not Tracking(repo, "origin").sent()
        assert not sharing.push_to(repo, "origin", work(), settled={}).edits
    cloned(tmp_path / "clone", place, files)


def test_several_paths_and_nothing_at_all_are_the_same_versions_too(tmp_path, files, directory):
    (tmp_path / "empty").mkdir()
    with repository(tmp_path / "repo", directory) as repo:
        for number, paths in enumerate(
            [(files / "texts", files / "big.bin"), (files / "run.sh",), (tmp_path / "empty",)]
        ):
            request = CommitRequest(paths=paths, name=f"d{number}", type="dataset")
            one = commit_with(repo, request, "threads:2", remote="origin", work=work(), run=worker.run)
            other = recording.commit_paths(repo, request, now=settings.now)
            assert not other.logged.created and other.logged.version.artifact_id == one.logged.version.artifact_id
            publish(repo, one, "origin", work())


def test_what_did_not_change_is_not_read_again_and_of_what_did_only_the_new_chunks_are_sent(tmp_path, files, place):
    asked = []

    def run(task):
        asked.append([os.path.basename(path) for path, _ in task["files"]])
        return worker.run(task)

    time.sleep(LET_AGE)
    with repository(tmp_path / "repo", place) as repo:
        publish(repo, spread(repo, files), "origin", work())
        same = spread(repo, files, run=run)
        assert not same.logged.created and asked == []
        with (files / "big.bin").open("ab") as file:
            file.write(b"more")
        (files / "texts" / "new.txt").write_text("new")
        result = spread(repo, files, run=run)
        assert [sorted(names) for names in asked] == [["big.bin", "new.txt"]]
        assert 0 < result.recorded.totals.new < 1_000_000
        assert result.logged.version.artifact_id == local_version(tmp_path, files)
        publish(repo, result, "origin", work())
    cloned(tmp_path / "clone", place, files)


def test_paranoid_reads_and_sends_everything_again(tmp_path, files, directory):
    time.sleep(LET_AGE)
    with repository(tmp_path / "repo", directory) as repo:
        publish(repo, spread(repo, files), "origin", work())
        again = commit_with(
            repo, request_of(files, paranoid=True), "threads:1", remote="origin", work=work(), run=worker.run
        )
        assert again.recorded.totals.new > 3_000_000 and not again.logged.created


# -- a push that fails -------------------------------------------------------------------------------------


def test_a_push_that_fails_is_repeated_and_what_workers_sent_is_remembered(tmp_path, files, server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    place = f"s3://{server.bucket}/models"
    with repository(tmp_path / "repo", place) as repo:
        result = spread(repo, files)
        sent = Tracking(repo, "origin").sent()
        assert sent

        def refuse(asked):
            return Answer(403) if asked.method == "PUT" and "/refs/" in asked.key else None

        server.fault = refuse
        with pytest.raises(RemoteError) as caught:
            publish(repo, result, "origin", work())
        assert caught.value.hint.startswith("data:v0 is committed here, 'artvc push origin' publishes it")
        server.fault = None
        # Neither looking at the remote again nor losing what can be had again takes it away.
        Tracking(repo, "origin").forget()
        sharing.fetch_from(repo, "origin", work())
        assert Tracking(repo, "origin").sent() == sent
        assert not fsck(repo, absent=sharing.on_a_remote(repo)).problems
        with pytest.raises(Conflict, match="not published yet"):
            sharing.remove_remote(repo, "origin")
    with Repository.open(tmp_path / "repo", SETTINGS) as repo:  # a process of tomorrow
        sharing.attach(repo, work())
        worktree.checkout(repo, repo.resolve("data").version, tmp_path / "out")
        assert listed(tmp_path / "out") == listed(files)
        assert sharing.push_to(repo, "origin", work(), settled={}).edits
        assert not Tracking(repo, "origin").sent()
    cloned(tmp_path / "clone", place, files)


def test_a_lost_reply_to_the_push_is_settled(tmp_path, files, server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    with repository(tmp_path / "repo", f"s3://{server.bucket}/models") as repo:
        result = spread(repo, files)
        cuts = itertools.count()

        def cut(asked):
            lost = asked.method == "PUT" and asked.key.endswith("0001.json") and next(cuts) == 0
            return Answer(cut=True, after=True) if lost else None

        server.fault = cut
        assert publish(repo, result, "origin", work()).edits
        assert not Tracking(repo, "origin").sent()


def test_data_that_the_remote_lost_before_the_push_is_missed(tmp_path, files, directory):
    with repository(tmp_path / "repo", directory) as repo:
        result = spread(repo, files)
        for pack in Path(directory).glob(".artvc/packs/*"):
            pack.unlink()
        with pytest.raises(NotFound, match="neither here nor on origin"):
            publish(repo, result, "origin", work())
        assert not Path(directory, ".artvc", "refs", f"{1:020}.json").exists()
        again = spread(repo, files)  # the files are still there: sent again, the same version
        assert not again.logged.created
        publish(repo, again, "origin", work())
    cloned(tmp_path / "clone", directory, files)


def test_what_an_abandoned_commit_had_sent_is_forgotten_by_a_push_with_nothing_to_do(
    tmp_path, files, server, monkeypatch
):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    with repository(tmp_path / "repo", f"s3://{server.bucket}/models") as repo:

        def no_author(_):
            raise OSError("killed here")

        with monkeypatch.context() as patch, pytest.raises(OSError, match="killed here"):
            patch.setattr(recording.provenance, "author", no_author)
            spread(repo, files)
        assert Tracking(repo, "origin").sent()
        with repo.ingest():  # while any commit is under way it could be its
            sharing.push_to(repo, "origin", work(), settled={})
            assert Tracking(repo, "origin").sent()
        sharing.push_to(repo, "origin", work(), settled={})
        assert not Tracking(repo, "origin").sent()
        sharing.remove_remote(repo, "origin")


@pytest.mark.slow
def test_killed_at_any_operation_nothing_that_counts_is_lost_and_running_again_completes_it(
    tmp_path, server, monkeypatch
):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    files, place, at_first = tmp_path / "files", f"s3://{server.bucket}/models", tmp_path / "at first"
    files.mkdir()
    (files / "a").write_text("text")
    (files / "big").write_bytes(random.Random(7).randbytes(200_000))
    repository(at_first, place).close()
    objects = dict(server.objects)

    def act(root: Path, disk: PointDisk) -> None:
        with Repository.open(root, SETTINGS, disk) as repo:
            publish(repo, spread(repo, files, "threads:1"), "origin", work())

    shutil.copytree(at_first, tmp_path / "count")
    counting = PointDisk()
    act(tmp_path / "count", counting)
    points = [Cut(at, part) for at in range(counting.count) for part in ("before", "after")]
    if os.environ.get("ARTVC_FAULTS") != "full":
        points = random.Random(3).sample(points, 10)
    committed = 0
    for number, cut in enumerate(points):
        root = tmp_path / f"killed {number}"
        shutil.copytree(at_first, root)
        server.objects = dict(objects)
        disk = DyingDisk(cut)
        with contextlib.suppress(Killed):
            act(root, disk)
        disk.bury()
        with Repository.open(root, SETTINGS) as repo:
            assert not fsck(repo, absent=sharing.on_a_remote(repo)).problems, cut
            if repo.versions("uncategorized", "data"):
                committed += 1
                sharing.push_to(repo, "origin", work(), settled={})
                cloned(tmp_path / f"clone {number}", place, files)
            publish(repo, spread(repo, files), "origin", work())
            assert len(repo.versions("uncategorized", "data")) == 1, cut
        cloned(tmp_path / f"clone again {number}", place, files)
    assert 0 < committed < len(points)


# -- workers that fail -------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path, files, directory, many_tasks):
    """A repository, of which is checked that failures left nothing, and that running again works."""
    with repository(tmp_path / "repo", directory) as repo:
        yield repo
        assert repo.state().number == 0
        publish(repo, spread(repo, files), "origin", work())
    cloned(tmp_path / "clone", directory, files)


def told(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_killed_worker_process_is_an_error_and_running_again_works(desk, files):
    def kill(_):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(WorkerError, match="killed") as caught:
        spread(desk, files, "processes:2", advance=kill)
    assert caught.value.hint
    told(caught)


def test_a_file_that_a_worker_does_not_see(desk, files):
    def run(task):
        elsewhere = [(path.replace("/files/", "/not mounted/"), size) for path, size in task["files"]]
        return worker.run({**task, "files": elsewhere})

    with pytest.raises(SourceError, match="can't see '.*/not mounted/") as caught:
        spread(desk, files, run=run)
    assert f"process {os.getpid()}" in told(caught)


def test_a_file_that_changes_before_a_worker_reads_it(desk, files):
    changed = files / "texts" / "3 ä.txt"
    original = changed.read_bytes()

    def run(task):
        if any(path == str(changed) for path, _ in task["files"]):
            changed.write_bytes(original + b"!")
        return worker.run(task)

    with pytest.raises(SourceError, match="changed"):
        spread(desk, files, run=run)
    changed.write_bytes(original)


def test_a_worker_with_another_version_of_artvc(desk, files):
    with pytest.raises(WorkerError, match=r"has artvc .*, and this is 0\.0\.0") as caught:
        spread(desk, files, run=lambda task: worker.run({**task, "version": "0.0.0"}))
    assert "install artvc 0.0.0" in caught.value.hint
    told(caught)


def test_a_worker_that_fails_in_a_way_of_its_own(desk, files):
    def run(task):
        raise ModuleNotFoundError("No module named 'artvc'")

    with pytest.raises(WorkerError, match="a worker failed: ModuleNotFoundError: No module named 'artvc'") as caught:
        spread(desk, files, run=run)
    assert "install artvc" in caught.value.hint


def test_workers_that_send_to_another_place_of_that_name(desk, files, tmp_path):
    (tmp_path / "their own disk").mkdir()

    def run(task):
        return worker.run({**task, "remote": str(tmp_path / "their own disk")})

    with pytest.raises(WorkerError, match="packs that workers sent to .* are not there"):
        spread(desk, files, run=run)


def test_a_remote_that_workers_do_not_reach(desk, files, tmp_path):
    with pytest.raises(NotFound, match=r"no such directory: .*\(worker "):
        spread(desk, files, run=lambda task: worker.run({**task, "remote": str(tmp_path / "not mounted")}))


def test_variables_that_a_worker_lacks_are_named(tmp_path, files, server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)

    from artvc.remotes.object_store import Patience

    def run(task):
        port = "http://127.0.0.1:9"  # nobody listens there
        environ = {"AWS_ENDPOINT_URL": port, "AWS_REGION": "x", "AWS_SKIP_SIGNATURE": "true"}
        return do_task(task, environ=environ)

    monkeypatch.setattr("artvc.remotes.object_store.Patience", lambda: Patience(tries=1, first=0.001))
    with repository(tmp_path / "repo", f"s3://{server.bucket}/models") as repo:
        with pytest.raises(RemoteError) as caught:
            spread(repo, files, run=run)
        assert caught.value.hint == "the worker's environment lacks AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"


# -- executors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["", "threads", "threads:", "threads:0", "threads:x", "threads:257", "processes:-1", "ray://x", "dask:x"]
)
def test_executors_that_are_none(spec):
    with pytest.raises(InvalidInput), workers_module.opened(spec):
        pass


def test_an_executor_of_the_callers_is_used_and_stays_open(tmp_path, files, directory, many_tasks):
    repository(tmp_path / "repo", directory).close()
    with ThreadPoolExecutor(2) as executor, Repo.open(tmp_path / "repo") as repo:
        logged = repo.commit(files, "data", "dataset", executor=executor)
        assert executor.submit(int, "7").result() == 7
        assert logged.created and logged.version.artifact_id == local_version(tmp_path, files)
        assert not repo.commit(files, "data", "dataset", executor="threads:2", remote="origin").created
    cloned(tmp_path / "clone", directory, files)


def test_the_version_has_the_number_that_a_push_gave_it(tmp_path, files, directory):
    other, mine = tmp_path / "other", tmp_path / "mine"
    for root in (other, mine):
        repository(root, directory).close()
    (tmp_path / "small").write_text("1")
    with Repo.open(other) as repo:
        assert repo.commit(tmp_path / "small", "data", "dataset", executor="threads:1").version.number == 0
    with Repo.open(mine) as repo:
        logged = repo.commit(files, "data", "dataset", executor="threads:1")
        assert logged.version.number == 1
        assert repo.resolve("data:v1").version == logged.version


def test_a_remote_goes_with_an_executor(tmp_path, files, directory):
    repository(tmp_path / "repo", directory).close()
    with Repo.open(tmp_path / "repo") as repo, pytest.raises(InvalidInput, match="remote goes with executor"):
        repo.commit(files, "data", "dataset", remote="origin")


class Asleep(Executor):
    """An executor that takes tasks and has nobody to do them until it is told that somebody is there."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Any, Any]] = []

    def submit(self, run, /, *args, **kwargs):
        self.waiting.append((Future(), run, args))
        return self.waiting[-1][0]

    def wake(self) -> None:
        for future, run, args in self.waiting:
            future.set_result(run(*args))


def test_nobody_there_is_said_and_not_waited_for_for_ever(tmp_path, files, directory, monkeypatch):
    monkeypatch.setattr(workers_module, "_LOOK", 0.01)
    monkeypatch.setattr(workers_module, "_ALONE", 0.05)
    asleep, looks, said = Asleep(), [], []
    sleeping = contextlib.nullcontext(workers_module.Workers(asleep, 9, working=lambda: looks.append(1)))
    monkeypatch.setattr(workers_module, "opened", lambda _: sleeping)
    with repository(tmp_path / "repo", directory) as repo:
        with pytest.raises(WorkerError, match="no workers"):
            spread(repo, files, tell=said.append)
        assert len(said) == 1 and len(looks) == 5
        assert repo.state().number == 0

        def late() -> None:
            looks.append(1)
            if len(looks) == 8:
                asleep.wake()

        asleep.waiting.clear()
        sleeping.enter_result = workers_module.Workers(asleep, 9, working=late)
        assert spread(repo, files).logged.version.artifact_id == local_version(tmp_path, files)


def test_a_git_repository_is_no_place_for_workers(tmp_path, files):
    (tmp_path / "repo").mkdir()
    with Repository.create(tmp_path / "repo", settings=SETTINGS)[0] as repo:
        repo.set_config("remote.origin.url", "https://example.com/x.git")
        with pytest.raises(InvalidInput, match="git"):
            spread(repo, files)


def test_scratch_stores_of_killed_workers_are_removed_and_those_in_use_are_not(
    tmp_path, files, directory, many_tasks, monkeypatch
):
    scratch = tmp_path / "tmp"
    (scratch / "artvc-worker-dead" / ".artvc").mkdir(parents=True)
    (scratch / "another's").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    seen = []

    def run(task):
        with ThreadPoolExecutor(1) as other, workers_module._scratch() as mine:
            other.submit(worker.run, task).result()  # tidies while this one is in use
            assert mine.is_dir()
        report = worker.run(task)
        seen.append(sorted(one.name for one in scratch.iterdir() if one.name in ("artvc-worker-dead", "another's")))
        return report

    with repository(tmp_path / "repo", directory) as repo:
        spread(repo, files, run=run)
    assert seen and all(one == ["another's"] for one in seen)
    assert os.listdir(scratch) == ["another's"]


def test_worker_processes_end_with_the_one_that_started_them(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from artvc.workers import opened\n"
        "if __name__ == '__main__':\n"
        "    with opened('processes:1') as workers:\n"
        "        print(workers.executor.submit(os.getpid).result(), flush=True)\n"
        "        sys.stdin.read()\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as driver:
        assert int(driver.stdout.readline()) != driver.pid
        driver.kill()
        assert driver.communicate(timeout=30) == (b"", None)  # the end of a pipe that the worker has open as well


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's
def test_dask_does_the_tasks_of_a_killed_worker_again(tmp_path, files, directory, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'artvc[dask]'")
    monkeypatch.setattr(workers_module, "TASK_FILES", 2)
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
        )
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill(_):
            if not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        repo = stack.enter_context(repository(tmp_path / "repo", directory))
        spec = "dask://" + cluster.scheduler_address.removeprefix("tcp://")
        result = spread(repo, files, spec, advance=kill)
        assert killed
        assert result.logged.version.artifact_id == local_version(tmp_path, files)
        publish(repo, result, "origin", work())
    cloned(tmp_path / "clone", directory, files)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's
def test_a_dask_cluster_without_artvc_says_so(tmp_path, files, directory):
    pytest.importorskip("distributed", reason="dask is not installed: pip install 'artvc[dask]'")
    # Both in one process that can't import artvc, wherever it is installed.
    program = (
        "import sys\n"
        "sys.modules['artvc'] = None\n"
        "from distributed import LocalCluster\n"
        "with LocalCluster(n_workers=1, processes=False, protocol='tcp', dashboard_address=None) as cluster:\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    ) as cluster:
        spec = "dask://" + cluster.stdout.readline().strip().removeprefix("tcp://")
        with (
            repository(tmp_path / "repo", directory) as repo,
            pytest.raises(WorkerError, match="a worker failed: ModuleNotFoundError") as caught,
        ):
            spread(repo, files, spec)
        cluster.stdin.close()
    assert "install artvc" in caught.value.hint
    assert repo.state().number == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's
def test_a_scheduler_that_is_not_there(monkeypatch):
    pytest.importorskip("distributed", reason="dask is not installed: pip install 'artvc[dask]'")
    monkeypatch.setattr(workers_module, "_DASK_PATIENCE", 1)
    with (
        pytest.raises(WorkerError, match="no Dask scheduler at '127.0.0.1:9'"),
        workers_module.opened("dask://127.0.0.1:9"),
    ):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's
def test_a_dask_cluster_without_workers(tmp_path, files, directory, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'artvc[dask]'")
    monkeypatch.setattr(workers_module, "_LOOK", 0.2)
    monkeypatch.setattr(workers_module, "_ALONE", 1)
    said = []
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None) as cluster,
        repository(tmp_path / "repo", directory) as repo,
    ):
        spec = "dask://" + cluster.scheduler_address.removeprefix("tcp://")
        with pytest.raises(WorkerError, match="no workers"):
            spread(repo, files, spec, tell=said.append)
        assert said
        monkeypatch.setattr(workers_module, "_ALONE", 600)
        # It grows when somebody waits.
        result = spread(repo, files, spec, tell=lambda _: cluster.scale(1))
        assert result.logged.version.artifact_id == local_version(tmp_path, files)
        with distributed.Client(cluster, set_as_default=False) as client:
            again = spread(repo, files, client.get_executor())
        assert not again.logged.created
