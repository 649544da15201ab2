"""The log, the lineage and its drawing, and the check of a whole repository."""

import pytest

from artvc import history, lineage, maintenance
from artvc.errors import InvalidInput, NotFound


def pipeline(desk):
    desk.write({"raw": "r", "pre": "p", "net": "n", "model": "m", "other": "o"})
    desk.commit("raw", name="raw", message="load")
    desk.commit("other", name="other", message="alone")
    desk.commit("pre", name="pre", inputs=("raw",), message="preprocess")
    desk.commit("net", name="net", kind="model", message="init")
    desk.commit("model", name="model", kind="model", inputs=("net", "pre:v0"), message="train")


def test_log_is_newest_first_with_inputs_and_outputs(desk):
    pipeline(desk)
    entries = list(history.log(desk.repo))
    assert [entry.commit.message for entry in entries] == ["train", "init", "preprocess", "alone", "load"]
    assert [edge.label for edge in entries[0].inputs] == ["net:v0", "pre:v0"]
    assert [edge.label for edge in entries[0].outputs] == ["model:v0"]
    assert [edge.asked for edge in entries[0].inputs] == ["net", "pre:v0"]
    assert len(list(history.log(desk.repo, limit=2))) == 2


def test_log_of_a_version_is_its_ancestry(desk):
    pipeline(desk)
    found = [entry.commit.message for entry in history.log(desk.repo, "model")]
    assert found == ["train", "init", "preprocess", "load"]
    with pytest.raises(NotFound):
        list(history.log(desk.repo, "nothing"))


def test_runs_are_found_by_id_hash_and_name(desk):
    pipeline(desk)
    run = desk.repo.runs()[0]
    for word in (run.run_id, run.commit.hex()[:10], run.name, f"{run.project}/{run.run_id}"):
        assert history.find_run(desk.repo, word) == run
    with pytest.raises(NotFound):
        history.find_run(desk.repo, "nonesuch")
    desk.commit("raw", name="raw")
    with pytest.raises(InvalidInput, match="ambiguous"):
        history.find_run(desk.repo, "commit-raw")


def test_producers_and_consumers(desk):
    pipeline(desk)
    desk.commit("raw", name="raw", message="load again")
    version = desk.version("raw")
    made = history.producers(desk.repo, version.project, version.artifact_id)
    assert [entry.commit.message for entry in made] == ["load again", "load"]
    used = history.consumers(desk.repo, version.project, version.artifact_id)
    assert [entry.commit.message for entry in used] == ["preprocess"]


def test_drawing_of_the_pipeline(desk):
    pipeline(desk)
    rows = lineage.draw(list(history.log(desk.repo)))
    drawn = [f"{row.lanes}  {row.entry.commit.message if row.entry else ''}".rstrip() for row in rows]
    assert drawn == [
        "*  train",
        "|\\",
        "* |  init",
        " /",
        "*  preprocess",
        "| *  alone",
        "*  load",
    ]


def test_a_drawing_survives_runs_that_used_each_others_outputs(desk):
    desk.write({"a": "a", "b": "b"})
    desk.commit("a", name="a")
    desk.commit("b", name="b", inputs=("a",))
    desk.write({"a": "a2"})
    desk.commit("a", name="a", inputs=("b",))
    rows = lineage.draw(list(history.log(desk.repo)))
    assert sum(row.entry is not None for row in rows) == 3


def test_fsck_is_clean_and_names_what_damage_affects(desk):
    pipeline(desk)
    report = maintenance.fsck(desk.repo)
    assert report.clean
    assert (report.versions, report.runs, report.transactions) == (5, 5, 5)
    packs = sorted((desk.root / ".artvc/packs").iterdir(), key=lambda p: p.stat().st_size)
    packs[0].unlink()
    (desk.root / ".artvc/packs" / "conflicted copy (2).pack").write_text("x")
    desk.reopen()
    report = maintenance.fsck(desk.repo)
    assert not report.clean
    (problem,) = [one for one in report.problems if one.affected]
    assert problem.affected[0].startswith("uncategorized/")


def test_fsck_counts_leftovers_and_strangers(desk):
    pipeline(desk)
    (desk.root / ".artvc/tmp/abc").write_text("half a pack")
    (desk.root / ".artvc/refs/.DS_Store").write_text("x")
    (desk.root / ".artvc/refs/00000000000000000003 (conflicted copy).json").write_text("x")
    report = maintenance.fsck(desk.repo)
    assert report.clean
    assert report.leftovers == 1
    assert report.strangers == ["refs/.DS_Store"] or "refs/.DS_Store" in report.strangers


def test_many_versions_in_a_row_are_shortened():
    many = [(f"net:v{number}", ("p/net", number)) for number in range(10)]
    assert history.in_spans(many) == ["net:v0 ... net:v9"]
    assert history.in_spans(many[:4]) == ["net:v0, net:v1, net:v2, net:v3"]
    marked = [*many[:6], ("net:v6 (best)", None), *many[7:]]
    assert history.in_spans(marked) == ["net:v0 ... net:v5", "net:v6 (best)", "net:v7, net:v8, net:v9"]
    other = [*many[:5], ("data:v5", ("p/data", 5)), ("data:v7", ("p/data", 7))]
    assert history.in_spans(other) == ["net:v0 ... net:v4", "data:v5", "data:v7"]
    assert history.in_spans([]) == []
