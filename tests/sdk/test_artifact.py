"""Artifacts as drafts and as versions: page 5, table 1a rows 4 to 10 and 17, "What wandb tests" 1 to 18 and 28 to 33."""

import math
import os
import shutil
import threading
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

import artvc
from artvc.errors import (
    ArtifactFinalizedError,
    ArtifactNotLoggedError,
    CommError,
    Conflict,
    Damaged,
    InvalidInput,
    NotFound,
    StorageFull,
    UsageError,
)
from artvc.sdk import workspace
from artvc.store.fsio import Disk


def draft(files=None, name="data", kind="dataset", **more):
    artifact = artvc.Artifact(name, kind, **more)
    for path, text in (files or {}).items():
        with artifact.new_file(path, "w") as file:
            file.write(text)
    return artifact


def log(files=None, name="data", kind="dataset", *, aliases=None, **more):
    with artvc.init(project="p") as run:
        return run.log_artifact(draft(files, name, kind, **more), aliases=aliases)


def on_disk(root):
    return {str(p.relative_to(root)): p.read_text() for p in sorted(Path(root).rglob("*")) if p.is_file()}


# -- drafts -----------------------------------------------------------------------------------------------


def test_add_file_new_file_and_add_dir_give_one_digest(desk):
    (desk / "in").mkdir()
    (desk / "in" / "file1.txt").write_text("hello")
    one, two, three = artvc.Artifact("a", "t"), draft({"file1.txt": "hello"}), artvc.Artifact("b", "u")
    entry = one.add_file("in/file1.txt")
    three.add_dir("in")
    assert one.digest == two.digest == three.digest
    assert (entry.path, entry.size) == ("file1.txt", 5)
    assert (
        one.manifest["file1.txt"].digest
        == two.manifest["file1.txt"].digest
        == three.manifest.entries["file1.txt"].digest
    )
    assert artvc.Artifact("c", "t").digest != one.digest


def test_name_of_added_file_and_dir(desk):
    (desk / "f.txt").write_text("hello")
    (desk / "d" / "e").mkdir(parents=True)
    (desk / "d" / "e" / "g.txt").write_text("g")
    artifact = artvc.Artifact("a", "t")
    artifact.add_file("f.txt", name="great-file.txt")
    artifact.add_dir("d", name="sub//dir/")
    assert list(artifact.manifest) == ["great-file.txt", "sub/dir/e/g.txt"]
    other = artvc.Artifact("a", "t")
    assert other.add_file(Path("f.txt")).digest == artifact.manifest["great-file.txt"].digest


def test_added_content_is_that_of_the_time(desk):
    source = desk / "f.txt"
    source.write_text("before")
    with artvc.init(project="p") as run:
        artifact = artvc.Artifact("a", "t")
        artifact.add_file(source)
        source.write_text("after")
        path = run.log_artifact(artifact).download()
    assert on_disk(path) == {"f.txt": "before"}
    assert source.read_text() == "after"


def test_same_path_again_is_fine_for_equal_and_an_error_for_other_content(desk):
    (desk / "f").write_text("1")
    artifact = artvc.Artifact("a", "t")
    artifact.add_file("f")
    artifact.add_file("f")
    (desk / "f").write_text("22")
    with pytest.raises(ValueError, match="Cannot add the same path twice: 'f'"):
        artifact.add_file("f")
    assert artifact.size == 1
    artifact.add_file("f", overwrite=True)
    assert (artifact.size, len(artifact.manifest)) == (2, 1)


def test_add_dir_again_needs_merge_and_removes_nothing(desk):
    (desk / "d").mkdir()
    for name in ("a", "b"):
        (desk / "d" / name).write_text(name)
    artifact = artvc.Artifact("x", "t")
    artifact.add_dir("d")
    (desk / "d" / "a").write_text("changed")
    with pytest.raises(ValueError, match="merge=True"):
        artifact.add_dir("d")
    artifact.add_dir("d", merge=True)
    assert artifact.manifest["a"].size == 7
    (desk / "d" / "a").unlink()
    artifact.add_dir("d", merge=True)
    assert list(artifact.manifest) == ["a", "b"]


def test_missing_or_directory_is_not_a_file(desk):
    (desk / "d").mkdir()
    artifact = artvc.Artifact("a", "t")
    for path in ("missing", "d"):
        with pytest.raises(ValueError, match="Path is not a file"):
            artifact.add_file(path)
    with pytest.raises(ValueError, match="Path is not a directory"):
        artifact.add_dir("missing")
    with pytest.raises(ValueError, match="policy"):
        artifact.add_file("d", policy="odd")


def test_new_file_modes():
    artifact = draft({"q": "1"})
    with pytest.raises(ValueError, match="File with name 'q' already exists"), artifact.new_file("q"):
        pass
    with artifact.new_file("q", "w") as file:
        file.write("22")
    assert artifact.manifest["q"].size == 2
    with artifact.new_file("nested/b", "wb") as file:
        file.write(b"\x00" * 10)
        file.seek(4)
        file.write(b"\x01")
        assert file.fileno() > 2
        assert os.path.exists(file.name)
    with artifact.new_file("default") as file:
        file.write("text ∂")
    assert sorted(artifact.manifest) == ["default", "nested/b", "q"]
    for mode in ("r", "a", "rw", ""):
        with pytest.raises(ValueError, match="mode"), artifact.new_file("z", mode):
            pass


def test_new_file_adds_nothing_if_the_body_raises(desk):
    artifact = draft({"q": "1"})
    with pytest.raises(ZeroDivisionError), artifact.new_file("q", "w") as file:
        file.write("22")
        1 / 0  # noqa: B018
    assert artifact.manifest["q"].size == 1
    assert not any(path.stat().st_size == 2 for path in (desk / ".artvc/tmp").iterdir())


def test_new_file_encoding_error_is_said_and_raised(capsys):
    artifact = artvc.Artifact("a", "t")
    with pytest.raises(UnicodeEncodeError), artifact.new_file("wave.txt", "w", encoding="ascii") as file:
        file.write("∂")
    assert "wave.txt" in capsys.readouterr().err
    assert not artifact.manifest.entries


def test_eight_threads_add_the_same_file(desk):
    (desk / "f").write_text("x" * 1000)
    artifact = artvc.Artifact("a", "t")
    errors = []

    def add(number):
        try:
            artifact.add_file("f")
            artifact.add_file("f", name=f"own/{number}")
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(artifact.manifest) == 9


@pytest.mark.parametrize("name", ["../t", "/t", "C:\\t", "", ".", "a/../b", "//s/x", "a/.artvc/b"])
def test_paths_that_lead_out_are_refused(desk, name):
    (desk / "f").write_text("x")
    artifact = artvc.Artifact("a", "t")
    with pytest.raises(ValueError):
        artifact.add_file("f", name=name)
    with pytest.raises(ValueError), artifact.new_file(name, "w"):
        pass
    assert not artifact.manifest.entries


def test_kinds_of_paths(desk):
    (desk / "f").write_text("x")
    artifact = artvc.Artifact("a", "t")
    for name in ("a//b/./c", Path("d/e"), PurePosixPath("g"), PureWindowsPath("nested\\f")):
        artifact.add_file("f", name=name)
    assert list(artifact.manifest) == ["a/b/c", "d/e", "g", "nested/f"]


def test_remove():
    artifact = draft({"a": "1", "b": "2", "c": "3", "d/e": "4", "d/f/g": "5"})
    artifact.remove("a")
    artifact.remove(Path("b"))
    artifact.remove(artifact.manifest["c"])
    with pytest.raises(FileNotFoundError):
        artifact.remove("missing")
    assert len(artifact.manifest) == 2
    artifact.remove("d")
    assert not artifact.manifest.entries


@pytest.mark.parametrize("item", ["d/f", Path("d/f"), PurePosixPath("d/f"), PureWindowsPath("d\\f"), "d", Path("d")])
def test_remove_takes_text_and_paths_of_files_and_directories(item):
    artifact = draft({"d/f": "1"})
    artifact.remove(item)
    assert not artifact.manifest.entries


def test_remove_of_what_is_not_there_removes_nothing():
    artifact = draft({"d/f": "1", "dd": "2"})
    for unknown in ("x", "d/f/g", "d/", artvc.Artifact):
        with pytest.raises((FileNotFoundError, TypeError)):
            artifact.remove("x" if unknown == "d/" else unknown)
    assert list(artifact.manifest) == ["d/f", "dd"]


def test_finalized_can_not_be_changed(desk):
    (desk / "f").write_text("x")
    artifact = draft({"a": "1"})
    artifact.finalize()
    for change in (
        lambda: artifact.add_file("f"),
        lambda: artifact.add_dir(desk),
        lambda: artifact.remove("a"),
        lambda: artifact.add_reference("http://x/y"),
        lambda: artifact.new_file("z", "w").__enter__(),
    ):
        with pytest.raises(ArtifactFinalizedError, match="Can't modify finalized artifact"):
            change()
    logged = log({"a": "1"})
    with pytest.raises(ArtifactFinalizedError):
        logged.add_file("f")


@pytest.mark.parametrize("name", ["a/b", "a" * 129, "a b", "", "a:b", "ä"])
def test_names_that_are_not_allowed(desk, name):
    with pytest.raises(ValueError, match="name"):
        artvc.Artifact(name, "t")
    (desk / "f").write_text("x")
    if name:
        with artvc.init(project="p") as run, pytest.raises(ValueError, match="name"):
            run.log_artifact("f", name=name)


@pytest.mark.parametrize("kind", ["job", "wandb-x"])
def test_reserved_types(kind):
    with pytest.raises(ValueError, match="reserved for internal use"):
        artvc.Artifact("a", kind)


def test_metadata_is_a_normalised_copy():
    given = {"t": (1, 2), "s": {1}, "nan": math.nan, "p": Path("a"), 1: "int", "deep": {"l": [1]}}
    artifact = artvc.Artifact("a", "t", metadata=given)
    given["deep"]["l"].append(2)
    expected = {"t": [1, 2], "s": [1], "nan": None, "p": "a", "1": "int", "deep": {"l": [1]}}
    assert artifact.metadata == expected
    assert type(artifact.metadata) is dict
    artifact.metadata = given
    assert artifact.metadata == {**expected, "deep": {"l": [1, 2]}}
    for bad, error in (({"a": math.inf}, ValueError), ([1], TypeError), ("x", TypeError), ({"a": object()}, TypeError)):
        with pytest.raises(error):
            artvc.Artifact("a", "t", metadata=bad)
        with pytest.raises(error):
            artifact.metadata = bad
    assert artvc.Artifact("a", "t", metadata={str(n): n for n in range(200)}).metadata["199"] == 199


def test_metadata_changed_in_place_counts_and_is_checked_when_logged():
    artifact = draft({"a": "1"}, metadata={"x": 1})
    artifact.metadata.update({"y": (2,)})
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
        assert run.use_artifact("data").metadata == {"x": 1, "y": [2]}
        bad = draft({"a": "2"})
        bad.metadata["z"] = math.inf
        with pytest.raises(ValueError):
            run.log_artifact(bad)
        assert artvc.use_artifact("data").version == "v0"


def test_draft_members_that_need_a_logged_artifact_name_themselves():
    artifact = draft({"a": "1"})
    members = {
        "version": lambda: artifact.version,
        "aliases": lambda: artifact.aliases,
        "entity": lambda: artifact.entity,
        "project": lambda: artifact.project,
        "created_at": lambda: artifact.created_at,
        "file_count": lambda: artifact.file_count,
        "qualified_name": lambda: artifact.qualified_name,
        "download": artifact.download,
        "checkout": artifact.checkout,
        "verify": artifact.verify,
        "file": artifact.file,
        "files": artifact.files,
        "used_by": artifact.used_by,
        "logged_by": artifact.logged_by,
        "get_entry": lambda: artifact.get_entry("a"),
        "new_draft": artifact.new_draft,
        "wait": artifact.wait,
        "delete": artifact.delete,
        "history_step": lambda: artifact.history_step,
        "commit_hash": lambda: artifact.commit_hash,
        "ttl": lambda: artifact.ttl,
        "json_encode": artifact.json_encode,
        "get": lambda: artifact["a"],
        "linked_artifacts": lambda: artifact.linked_artifacts,
        "unlink": artifact.unlink,
        "source_artifact": lambda: artifact.source_artifact,
        "updated_at": lambda: artifact.updated_at,
        "url": lambda: artifact.url,
    }
    for member, use in members.items():
        with pytest.raises(ArtifactNotLoggedError, match=rf"Artifact\.{member}'"):
            use()
    assert artifact.id is None and artifact.is_draft()
    assert (artifact.name, artifact.type, artifact.state, artifact.size) == ("data", "dataset", "PENDING", 1)
    assert artifact.metadata == {} and artifact.description is None and len(artifact.digest) == 64


def test_draft_before_init_and_before_a_repository(desk, capsys):
    (desk / ".git").mkdir()
    (desk / "below").mkdir()
    os.chdir(desk / "below")
    artifact = draft({"a": "1"})
    assert (desk / ".artvc").is_dir()
    assert "made a repository" in capsys.readouterr().err
    with artvc.init(project="p") as run:
        assert run.log_artifact(artifact).version == "v0"


def test_draft_of_another_repository_is_refused(desk):
    artifact = draft({"a": "1"})
    (desk / "other").mkdir()
    artvc.Repo.init(desk / "other").close()
    with artvc.init(project="p", dir="other") as run, pytest.raises(UsageError, match="other"):
        run.log_artifact(artifact)


def test_a_draft_never_logged_leaves_no_version(script, repo):
    done = script(
        "import artvc\na = artvc.Artifact('a', 't')\nwith a.new_file('x', 'w') as f: f.write('x')\nprint(a.size)"
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert repo.artifacts() == []
    assert list((repo.root / ".artvc/tmp").iterdir()) == []


def test_ignore_file_and_links(desk):
    tree = desk / "d"
    (tree / "sub").mkdir(parents=True)
    for name in (".hidden", "keep.txt", "drop.log", "sub/more.log", "sub/run.sh"):
        (tree / name).write_text(name)
    (tree / "sub/run.sh").chmod(0o755)
    (tree / ".artvcignore").write_text("*.log\n")
    (tree / "inside").symlink_to("keep.txt")
    (desk / "outside.txt").write_text("out")
    (tree / "copied").symlink_to(desk / "outside.txt")
    (tree / "loop").symlink_to("..")
    artifact = artvc.Artifact("a", "t")
    artifact.add_dir(tree)
    assert sorted(artifact.manifest) == [".artvcignore", ".hidden", "copied", "inside", "keep.txt", "sub/run.sh"]
    with artvc.init(project="p") as run:
        path = Path(run.log_artifact(artifact).download("out"))
    assert os.readlink(path / "inside") == "keep.txt"
    assert (path / "copied").read_text() == "out"
    assert os.access(path / "sub/run.sh", os.X_OK)


# -- versions ---------------------------------------------------------------------------------------------


def test_equal_content_makes_one_version_and_changed_content_the_next(repo):
    assert log({"a": "1"}).version == "v0"
    assert log({"a": "1"}).version == "v0"
    assert log({"a": "2"}).version == "v1"
    with artvc.init(project="p") as run:
        assert run.use_artifact("data").version == "v1"
        assert run.use_artifact("data:v0").version == "v0"
    assert [version.number for version in repo.versions("p/data")] == [0, 1]


def test_logging_returns_the_same_object_frozen_with_its_version():
    artifact = draft({"a": "1"}, description="words", metadata={"k": 1})
    with artvc.init(project="p") as run:
        assert run.log_artifact(artifact, aliases=["best"]) is artifact
    assert artifact.wait() is artifact
    assert (artifact.version, artifact.name, artifact.source_name) == ("v0", "data:v0", "data:v0")
    assert artifact.qualified_name == "p/data:v0"
    assert artifact.aliases == ["best", "latest"]
    assert (artifact.state, artifact.file_count, artifact.size) == ("COMMITTED", 1, 1)
    assert artifact.description == "words" and artifact.metadata == {"k": 1}
    assert artifact.id and len(artifact.digest) == 64 and artifact.created_at.endswith("Z")


def test_each_log_is_visible_at_once(repo):
    with artvc.init(project="p") as run:
        run.log_artifact(draft({"a": "1"}))
        assert [version.label for version in repo.versions("p/data")] == ["data:v0"]
        (entry,) = repo.log()
        assert entry.commit.state == "running"
        run.log_artifact(draft({"a": "2"}))
        (entry,) = repo.log()
        assert [edge.label for edge in entry.outputs] == ["data:v0", "data:v1"]
    (entry,) = repo.log()
    assert entry.commit.state == "finished"
    assert [edge.label for edge in entry.outputs] == ["data:v0", "data:v1"]


def test_aliases_move_and_bad_ones_are_refused(repo):
    log({"a": "1"}, aliases=["best", "boom_test-q"])
    log({"a": "2"}, aliases="best")
    assert repo.aliases("p/data") == {"best": 1, "boom_test-q": 0, "latest": 1}
    for bad in ("a/b", "a:b", "v3", ""):
        with pytest.raises(ValueError):
            log({"a": "3"}, aliases=[bad])
    assert len(repo.versions("p/data")) == 2


def test_relogging_older_content_moves_latest_back(repo):
    for text in "121":
        log({"a": text})
    assert repo.aliases("p/data") == {"latest": 0}


def test_every_run_that_logs_is_a_producer():
    first = log({"a": "1"}, aliases=["x"])
    with artvc.init(project="p") as second:
        again = second.log_artifact(draft({"a": "1"}))
    with artvc.init(project="p") as user:
        user.use_artifact("data:x")
    made = again.logged_by()
    assert made is not None and made.id != second.id
    assert [run.id for run in first.producers()][1] == second.id
    assert [run.id for run in first.used_by()] == [user.id]


def test_other_type_is_refused_with_both_named():
    log({"a": "1"})
    with pytest.raises(ValueError, match="already exists with type 'dataset'; cannot create another with type 'model'"):
        log({"a": "1"}, kind="model")
    with pytest.raises(Conflict):
        log({"a": "2"}, kind="model")


def test_changed_metadata_of_equal_content_is_kept_and_said(capsys):
    log({"a": "1"}, metadata={"k": 1})
    log({"a": "1"}, metadata={"k": 2})
    assert "metadata changed" in capsys.readouterr().err
    with artvc.init(project="p") as run:
        assert run.use_artifact("data:v0").metadata == {"k": 2}
    log({"a": "1"})
    with artvc.init(project="p") as run:
        assert run.use_artifact("data:v0").metadata == {"k": 2}


def test_log_path_dir_and_uri(desk):
    (desk / "in").mkdir()
    (desk / "in" / "odd =name.txt").write_text("x")
    with artvc.init(project="p") as run:
        one = run.log_artifact("in/odd =name.txt")
        assert (one.source_name, one.type) == (f"run-{run.id}-odd-name.txt:v0", "unspecified")
        two = run.log_artifact(desk / "in", name="dir", type="dataset", aliases=["a"], tags=["t"])
        assert (two.source_name, two.tags) == ("dir:v0", ["t"])
        three = run.log_artifact(f"file://{desk}/in")
        assert three.manifest["odd =name.txt"].ref == f"file://{desk}/in/odd =name.txt"
        with pytest.raises(ValueError, match="missing"):
            run.log_artifact("missing")
        with pytest.raises(TypeError):
            run.log_artifact(3)


def test_use_artifact_forms(last):
    log({"a": "1"}, aliases=["best"])
    with artvc.init(project="p") as run:
        for reference in ("data", "data:latest", "data:best", "data:v0", "p/data:v0", "me/p/data:v0"):
            assert run.use_artifact(reference).version == "v0"
        assert run.use_artifact("data:best").name == "data:best"
        assert run.use_artifact("data", type="dataset").name == "data:latest"
        with pytest.raises(ValueError, match="type 'dataset', not 'model'"):
            run.use_artifact("data", type="model")
        for missing in ("dat", "data:v9", "data:worst", "q/data"):
            with pytest.raises(NotFound) as caught:
                run.use_artifact(missing)
            assert isinstance(caught.value, CommError) and isinstance(caught.value, ValueError)
        with pytest.raises(ValueError):
            run.use_artifact("a/b/c/data:v0")
        with pytest.raises(ValueError, match="file"):
            run.use_artifact("data:v0/a")
        with pytest.raises(TypeError):
            run.use_artifact(3)
    assert [one.asked for one in last().inputs] == ["data:latest"]


def test_use_artifact_of_a_draft_logs_it_and_of_a_version_notes_it(last):
    logged = log({"a": "1"})
    with artvc.init(project="p") as run:
        assert run.use_artifact(logged) is logged
        assert run.use_artifact(draft({"b": "1"}, name="other"), aliases=["x"]).aliases == ["latest", "x"]
    assert len(last().inputs) == 2
    assert len(last().outputs) == 1


def test_edges_are_on_the_resolved_version(repo):
    log({"a": "1"})
    with artvc.init(project="p") as run:
        run.use_artifact("data:latest")
    log({"a": "2"})
    entry = next(entry for entry in repo.log() if entry.inputs)
    assert [(edge.label, edge.asked) for edge in entry.inputs] == [("data:v0", "data:latest")]


def test_logging_a_logged_artifact_again_adds_aliases_and_a_producer(repo):
    logged = log({"a": "1"}, metadata={"k": 1})
    with artvc.init(project="p") as run:
        run.log_artifact(logged, aliases=["again"])
    assert repo.aliases("p/data") == {"again": 0, "latest": 0}
    assert len(logged.producers()) == 2
    assert logged.metadata == {"k": 1}


def test_save_persists_aliases_tags_description_metadata():
    logged = log({"a": "1"}, aliases=["one"])
    logged.aliases.append("hello")
    logged.aliases.remove("one")
    logged.tags = ["fizz", "big buzz"]
    logged.description = "said later"
    logged.metadata["k"] = 1
    logged.save()
    with artvc.init(project="p") as run:
        again = run.use_artifact("data:hello")
    assert again.aliases == ["hello", "latest"]
    assert (again.tags, again.description, again.metadata) == (["big buzz", "fizz"], "said later", {"k": 1})
    for bad in ("!x", "", " ", " a", "a "):
        with pytest.raises(ValueError):
            logged.tags = [bad]
    assert logged.tags == ["big buzz", "fizz"]


def test_new_draft_and_incremental():
    first = log({"a": "1"}, metadata={"k": 1})
    again = first.new_draft()
    assert again.is_draft() and again.metadata == {"k": 1}
    with again.new_file("b", "w") as file:
        file.write("2")
    with artvc.init(project="p") as run:
        assert run.log_artifact(again).version == "v1"
        assert sorted(again.manifest) == ["a", "b"]
        more = draft({"c": "3"}, incremental=True)
        assert sorted(run.log_artifact(more).manifest) == ["a", "b", "c"]
        only = draft({"c": "3"})
        assert list(run.log_artifact(only).manifest) == ["c"]


def test_empty_artifact():
    assert on_disk(log({}).download()) == {}


def test_full_disk_while_logging_loses_nothing_before_it(desk, repo, monkeypatch):
    run = artvc.init(project="p")
    run.log_artifact(draft({"a": "1"}))
    artifact = draft({"a": "2"})

    def full(self, fd, buffers):
        raise StorageFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write", full)
        with pytest.raises(StorageFull):
            run.log_artifact(artifact)
    with pytest.raises(artvc.Error, match="lost"):
        run.log_artifact(artifact)
    run.log_artifact(draft({"a": "3"}))
    run.finish()
    assert [version.number for version in repo.versions("p/data")] == [0, 1]
    (entry,) = repo.log()
    assert entry.commit.state == "finished"


# -- restoring --------------------------------------------------------------------------------------------


def test_download_goes_to_artifacts_name_version_absolute(desk):
    log({"training.pt": "x", "deep/b": "y"}, aliases=["best"])
    with artvc.init(project="p") as run:
        path = run.use_artifact("data:best").download()
    assert path == str(desk / "artifacts" / "data:v0")
    assert on_disk(path) == {"training.pt": "x", "deep/b": "y"}


@pytest.mark.parametrize("name", ["ARTVC_ARTIFACT_DIR", "WANDB_ARTIFACT_DIR"])
def test_artifact_dir_moves_it(desk, monkeypatch, name):
    monkeypatch.setenv(name, "elsewhere")
    assert log({"a": "1"}).download() == str(desk / "elsewhere" / "data:v0")


def test_download_keeps_right_files_restores_changed_leaves_others(desk):
    artifact = log({"same": "1", "changed": "22", "gone": "3"})
    path = Path(artifact.download())
    before = (path / "same").stat()
    times = os.stat(path / "changed")
    (path / "changed").write_text("99")
    os.utime(path / "changed", ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same mtime
    (path / "gone").unlink()
    (path / "extra").write_text("mine")
    artifact.download()
    assert on_disk(path) == {"same": "1", "changed": "22", "gone": "3", "extra": "mine"}
    after = (path / "same").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_two_artifacts_downloaded_into_one_directory_keep_both(desk):
    one, two = log({"a": "1"}, name="one"), log({"b": "2"}, name="two")
    one.download("both")
    assert on_disk(two.download("both")) == {"a": "1", "b": "2"}


def test_root_as_text_or_path(desk):
    artifact = log({"a": "1"})
    assert artifact.download("x/y") == str(desk / "x/y")
    assert artifact.download(root=desk / "z") == str(desk / "z")


def test_path_prefix():
    files = {"some-prefix/one.txt": "1", "some-prefix-two.txt": "2", "other": "3"}
    artifact = log(files)
    assert set(on_disk(artifact.download("a", path_prefix="some-prefix"))) == set(files) - {"other"}
    assert set(on_disk(artifact.download("b", path_prefix="some-prefix/"))) == {"some-prefix/one.txt"}
    assert set(on_disk(artifact.download("c", path_prefix=""))) == set(files)
    assert on_disk(artifact.download("d", path_prefix="nothing")) == {}


def test_files_are_normal_and_writing_them_harms_nothing(desk):
    artifact = log({"a": "1"})
    path = Path(artifact.download(), "a")
    path.write_text("overwritten")
    assert on_disk(artifact.download("fresh")) == {"a": "1"}


def test_download_to_another_file_system(desk, request):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == desk.stat().st_dev:
        pytest.skip("no second file system")
    target = other / f"artvc-test-{os.getpid()}"
    request.addfinalizer(lambda: shutil.rmtree(target, ignore_errors=True))
    artifact = log({"a": "1", "d/b": "2"})
    assert on_disk(artifact.download(target)) == {"a": "1", "d/b": "2"}
    artifact.verify(target)


def test_stored_bytes_that_are_not_what_they_were_are_not_restored(desk):
    artifact = log({"a": "content of some length"})
    workspace.close_all()
    (pack,) = [one for one in (desk / ".artvc/packs").glob("*.pack") if b"content of some length" in one.read_bytes()]
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes().replace(b"content of some", b"CONTENT of some"))
    with artvc.init(project="p") as run, pytest.raises(Damaged):
        run.use_artifact("data").download("out")
    assert not (desk / "out").exists()
    assert artifact.version == "v0"


def test_nothing_is_staged_beside_the_repository(desk):
    (desk / "f").write_text("x")
    artifact = artvc.Artifact("data", "dataset")
    artifact.add_file("f")
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    assert sorted(os.listdir(desk)) == [".artvc", "f"]
    assert not list((desk / ".artvc" / "tmp").iterdir())


def test_checkout_makes_a_directory_exact(desk):
    artifact = log({"a": "1"})
    (desk / "artifacts" / "data").mkdir(parents=True)
    (desk / "artifacts" / "data" / "bogus").write_text("x")
    assert artifact.checkout() == str(desk / "artifacts" / "data")
    assert on_disk(desk / "artifacts" / "data") == {"a": "1"}


def test_verify():
    artifact = log({"a": "1", "b/c": "2"})
    with pytest.raises(ValueError, match="no directory"):
        artifact.verify()
    path = Path(artifact.download())
    artifact.verify()
    (path / "a").write_text("2")
    with pytest.raises(ValueError, match="'a'"):
        artifact.verify()
    artifact.download()
    (path / "extra").write_text("x")
    with pytest.raises(ValueError, match="'extra'"):
        artifact.verify(path)
    (path / "extra").unlink()
    (path / "b" / "c").unlink()
    with pytest.raises(ValueError, match="'b/c'.*missing"):
        artifact.verify(str(path))


def test_file_files_and_get_entry(desk):
    artifact = log({"digits.h5": "x"})
    assert artifact.file() == str(desk / "artifacts" / "data:v0" / "digits.h5")
    two = log({"a": "1", "d/b": "22"}, name="two")
    with pytest.raises(ValueError, match="2 files"):
        two.file()
    assert [(file.name, file.size) for file in two.files()] == [("a", 1), ("d/b", 2)]
    assert [file.name for file in two.files(names=["a"])] == ["a"]
    entry = two.get_entry("d/b")
    assert entry.parent_artifact() is two and entry.ref is None
    path = entry.download()
    assert path == str(desk / "artifacts" / "two:v0" / "d" / "b")
    assert on_disk(desk / "artifacts" / "two:v0") == {"d/b": "22"}
    for missing in ("x", "d"):
        with pytest.raises(KeyError):
            two.get_entry(missing)


def test_references_are_recorded_and_said_to_be_left(desk, capsys):
    (desk / "f.bin").write_bytes(b"12345")
    other = log({"x": "content"}, name="other")
    artifact = artvc.Artifact("refs", "t")
    artifact.add_reference("https://example.com/a/b.bin?x=1", checksum=False)
    artifact.add_reference(f"file://{desk}/f.bin")
    artifact.add_reference("weird:thing", name="w")
    artifact.add_reference(other.get_entry("x"), name="copied")
    for bad in ("/bare/path", "weird:thing", "http:"):
        with pytest.raises(ValueError):
            artifact.add_reference(bad)
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    assert artifact.manifest["b.bin"].ref_target() == "https://example.com/a/b.bin?x=1"
    assert artifact.manifest["f.bin"].size == 5
    with pytest.raises(ValueError, match="not a reference"):
        other.manifest["x"].ref_target()
    artifact = artifact.new_draft()
    artifact.remove("b.bin")
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    assert on_disk(artifact.download()) == {"copied": "content", "f.bin": "12345"}
    assert "1 references" in capsys.readouterr().err
    artifact.verify()


def test_large_download_is_announced(monkeypatch, capsys):
    monkeypatch.setattr("artvc.sdk.artifact_files._LARGE_FILES", 1)
    log({"a": "1", "b": "2"}).download()
    assert "downloading large artifact 'data:v0'" in capsys.readouterr().err


def test_artifact_in_another_process_after_fork_is_refused(script):
    done = script(
        """
import artvc, os
artifact = artvc.Artifact("a", "t")
with artifact.new_file("x", "w") as file:
    file.write("x")
child = os.fork()
if not child:
    try:
        with artifact.new_file("y", "w") as file:
            file.write("y")
    except artvc.errors.UsageError:
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
with artvc.init(project="p") as run:
    print(run.log_artifact(artifact).version)
"""
    )
    assert done.stdout == "v0\n", done.stderr


def test_invalid_input_is_a_value_error_and_conflict_too():
    assert issubclass(InvalidInput, ValueError)
    with artvc.init(project="p") as run, pytest.raises(ValueError):
        run.log_artifact(draft({"a": "1", "a/b": "2"}))


def test_tags_and_aliases_may_be_one_word():
    draft = artvc.Artifact("data", "dataset")
    draft.tags = "best model"
    with artvc.init(project="p") as run:
        logged = run.log_artifact(draft)
        assert logged.tags == ["best model"]
        logged.aliases = "latest"
        logged.save()
        assert logged.aliases == ["latest"]


def test_tags_at_log_and_in_place_are_kept_and_bad_ones_change_nothing():
    draft = artvc.Artifact("data", "dataset")
    with draft.new_file("a", "w") as file:
        file.write("1")
    with artvc.init(project="p") as run:
        logged = run.log_artifact(draft, tags=["fizz"])
    logged.tags.append("big buzz")
    logged.save()
    assert artvc.Api().artifact("p/data").tags == ["big buzz", "fizz"]
    for bad in ("!x", "", " ", " a", "a "):
        logged.tags.append(bad)
        with pytest.raises(ValueError, match="invalid tag"):
            logged.save()
        logged.tags.remove(bad)
        with artvc.init(project="p") as run, pytest.raises(ValueError, match="invalid tag"):
            run.log_artifact(logged, tags=[bad])
    assert artvc.Api().artifact("p/data").tags == ["big buzz", "fizz"]


@pytest.mark.parametrize("skip_cache", [True, False, None])
def test_skip_cache_is_accepted_and_changes_nothing(skip_cache, desk):
    (desk / "f").write_text("1")
    draft = artvc.Artifact("data", "dataset")
    draft.add_file("f", skip_cache=skip_cache, policy="immutable")
    with artvc.init(project="p") as run:
        logged = run.log_artifact(draft)
    (desk / "f").write_text("2")  # what was added counts, with the policy "immutable" too
    assert on_disk(Path(logged.download(skip_cache=skip_cache))) == {"f": "1"}
    assert Path(logged.get_entry("f").download(skip_cache=skip_cache)).read_text() == "1"


def test_item_of_a_draft_needs_a_logged_artifact():
    with pytest.raises(ArtifactNotLoggedError):
        artvc.Artifact("data", "dataset")["x"]
