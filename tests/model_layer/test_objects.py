"""Values that could not be stored are refused when they are built, not when they are encoded."""

import pytest

from artvc.errors import InvalidInput
from artvc.model.ids import Id
from artvc.model.objects import Artifact, Commit, Properties, check_json, symlink_entry

TIME = "2026-11-23T03:00:00.000000Z"
BAD_JSON = [
    "\ud800", {"\ud800": 1}, ["\udcff"], float("nan"), float("inf"), 10**5000, object(), {1: 2}, (1, 2), b"x",
    {"a": {1, 2}},
]  # fmt: skip


def commit(**fields: object) -> Commit:
    return Commit(run_id="r", run_name="n", project="p", started=TIME, ended=TIME, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", BAD_JSON, ids=lambda value: type(value).__name__)
def test_json(value):
    for build in (
        lambda: check_json(value),
        lambda: Properties(metadata={"a": value}),
        lambda: commit(config={"a": value}),
    ):
        with pytest.raises(InvalidInput):
            build()


@pytest.mark.parametrize("field", ["message", "notes", "job_type", "group"])
def test_text_of_commits(field):
    with pytest.raises(InvalidInput):
        commit(**{field: "\ud800"})


def test_other_fields():
    for build in (
        lambda: commit(tags=("\ud800",)),
        lambda: commit(state="sleeping"),
        lambda: Commit(run_id="r", run_name="n", project="p", started="yesterday", ended=TIME),
        lambda: Properties(tags=("b", "a")),
        lambda: Properties(tags=("a", "a")),
        lambda: Properties(ttl=-1),
        lambda: Artifact(name="n", type="\ud800", root=Id(bytes(32)), files=0, size=0),
        lambda: Artifact(name="n", type="job", root=Id(bytes(32)), files=0, size=0),
        lambda: Artifact(name="n", type="t", root=Id(bytes(32)), files=-1, size=0),
        lambda: symlink_entry("l", "/etc/passwd"),
        lambda: symlink_entry("l", ""),
        lambda: Id(b"short"),
        lambda: Id.parse("B3" * 32),
    ):
        with pytest.raises(InvalidInput):
            build()
