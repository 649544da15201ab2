"""One version made by many processes: page 5, section 2b, behaviour 46."""

import pytest

import artvc
from artvc import maintenance
from artvc.errors import Conflict
from artvc.repo import Repository


def draft(files, name="shared", **more):
    artifact = artvc.Artifact(name, "dataset", **more)
    for path, text in files.items():
        with artifact.new_file(path, "w") as file:
            file.write(text)
    return artifact


def uploads(desk):
    with Repository.open(desk) as repo:
        return repo.state().prefixes("uploads/")


def clean(desk):
    with Repository.open(desk) as repo:
        return maintenance.fsck(repo).problems == []


def test_two_runs_upsert_and_a_third_finishes(desk, repo):
    for path in ("one", "two"):
        with artvc.init(project="p", group="g") as run:
            assert run.upsert_artifact(draft({path: path})).is_draft()
    assert repo.versions("p/shared") == []
    assert uploads(desk) and clean(desk)
    with artvc.init(project="p", group="g") as run:
        made = run.finish_artifact(draft({}), aliases=["all"])
    assert (made.version, made.aliases) == ("v0", ["all", "latest"])
    assert sorted(made.manifest) == ["one", "two"]
    assert [version.number for version in repo.versions("p/shared")] == [0]
    assert not uploads(desk) and clean(desk)


def test_without_group_and_id_it_is_a_type_error():
    with artvc.init(project="p") as run:
        for act in (run.upsert_artifact, run.finish_artifact):
            with pytest.raises(TypeError, match="distributed_id"):
                act(draft({"a": "1"}))


def test_paths_are_accepted_as_by_log_artifact(desk):
    (desk / "d").mkdir()
    (desk / "d" / "f").write_text("x")
    with artvc.init(project="p") as run:
        run.upsert_artifact("d", name="shared", type="dataset", distributed_id="a/b c")
        made = run.finish_artifact(draft({"own": "1"}), distributed_id="a/b c")
    assert sorted(made.manifest) == ["f", "own"]


def test_what_was_said_last_counts():
    with artvc.init(project="p", group="g") as run:
        run.upsert_artifact(draft({"a": "1"}, description="first", metadata={"k": 1}))
        run.upsert_artifact(draft({"b": "1"}, description="second"))
        run.upsert_artifact(draft({"c": "1"}))
        made = run.finish_artifact(draft({}))
    assert (made.description, made.metadata) == ("second", {})


def test_a_run_may_replace_its_own_files_but_not_those_of_others():
    with artvc.init(project="p", group="g") as run:
        run.upsert_artifact(draft({"a": "1"}))
        run.upsert_artifact(draft({"a": "2"}))
    with artvc.init(project="p", group="g") as run:
        with pytest.raises(Conflict, match="'a'"):
            run.upsert_artifact(draft({"a": "3"}))
        run.upsert_artifact(draft({"a": "2", "b": "1"}))
        made = run.finish_artifact(draft({}))
    assert {path: entry.size for path, entry in made.manifest.entries.items()} == {"a": 1, "b": 1}


def test_another_type_is_refused():
    with artvc.init(project="p", group="g") as run:
        run.upsert_artifact(draft({"a": "1"}))
        with pytest.raises(Conflict, match="type"):
            run.upsert_artifact(artvc.Artifact("shared", "model"))


def test_finished_twice_makes_versions_of_their_own():
    with artvc.init(project="p", group="g") as run:
        assert run.finish_artifact(draft({"a": "1"})).version == "v0"
        assert run.finish_artifact(draft({"b": "1"})).version == "v1"
        assert run.finish_artifact(draft({"a": "1"})).version == "v0"


def test_many_processes_at_once_lose_nothing(script, desk, repo):
    code = """
import os, artvc
children = []
for number in range(4):
    child = os.fork()
    if not child:
        with artvc.init(project="p", group="g") as run:
            for step in range(3):
                artifact = artvc.Artifact("shared", "dataset")
                with artifact.new_file(f"{number}-{step}", "w") as file:
                    file.write(f"{number} {step}")
                run.upsert_artifact(artifact)
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
with artvc.init(project="p", group="g") as run:
    print(len(run.finish_artifact(artvc.Artifact("shared", "dataset")).manifest))
"""
    done = script(code)
    assert done.stdout == "12\n", done.stderr
    assert clean(desk)


def test_contribution_meanwhile_is_in_the_version(desk, monkeypatch):
    with artvc.init(project="p", group="g") as run:
        record = type(run)._record
        late = []

        def slow(self, *given, **more):
            if more.get("closing") is not None and not late:
                late.append(True)
                self.upsert_artifact(draft({"late": "1"}))
            return record(self, *given, **more)

        monkeypatch.setattr(type(run), "_record", slow)
        made = run.finish_artifact(draft({"early": "1"}))
    assert sorted(made.manifest) == ["early", "late"]
    assert not uploads(desk)


def test_killed_contributor_leaves_what_it_contributed(script, desk):
    done = script(
        """
import artvc, os
run = artvc.init(project="p", group="g")
artifact = artvc.Artifact("shared", "dataset")
with artifact.new_file("a", "w") as file:
    file.write("1")
run.upsert_artifact(artifact)
os._exit(9)
"""
    )
    assert done.returncode == 9
    with artvc.init(project="p", group="g") as run:
        assert list(run.finish_artifact(draft({})).manifest) == ["a"]
    assert clean(desk)
