"""What the page about W&B's API names is what there is."""

import importlib.util
import re
from pathlib import Path

import pytest

import artvc
from artvc import shim
from artvc.sdk import environment, filters
from artvc.sdk.logged_run import LoggedRun

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "artvc" / "docs" / "wandb.md").read_text()


def table(head: str) -> list[str]:
    """The names in the first column of a table."""
    body = PAGE.partition(f"| `{head}` | |\n")[2].partition("\n\n")[0]
    return [name for line in body.splitlines()[1:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]


@pytest.mark.parametrize(
    ("head", "owner"),
    [("wandb.", artvc), ("wandb.Artifact.", artvc.Artifact), ("wandb.Run.", artvc.Run), ("wandb.Api.", artvc.Api)],
)
def test_every_name_in_a_table_is_there(head, owner):
    found = table(head)
    known = set(dir(owner)) | set(getattr(owner, "__annotations__", {}))
    assert found
    assert set(found) <= known


def test_the_members_of_apis_runs_are_there():
    text = PAGE.partition("A run of `Api` has ")[2].partition("and its facts")[0]
    found = re.findall(r"`(\w+)`", text)
    assert len(found) > 5
    assert set(found) <= set(dir(LoggedRun))


def test_every_operator_of_filters_is_named():
    assert set(re.findall(r"\$\w+", PAGE)) == {*filters._OPERATORS, "$and", "$or"}


def test_every_field_of_filters_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with artvc.init(project="p", config={"KEY": 1}, tags=["t"], notes="n", job_type="j", group="g") as run:
        run.summary["KEY"] = 1
    (run,) = artvc.Api().runs("p")
    text = PAGE.partition("\nFields: ")[2].partition("W&B's spellings")[0]
    for field in re.findall(r"`([\w.]+)`", text):
        assert run.get(field), field


def test_variables_of_the_environment_are_read(monkeypatch):
    source = "".join(path.read_text() for path in (ROOT / "artvc").rglob("*.py"))
    for name in re.findall(r"`WANDB_(\w+)`", PAGE):
        assert re.search(rf'(variable|flag)\("{name}"\)', source), name
        monkeypatch.setenv(f"WANDB_{name}", "x")
        assert environment.variable(name) == "x"


def test_modules_and_examples_named_are_there():
    for module, name in re.findall(r"`(artvc\.integrations\.\w+)\.(\w+)`", PAGE):
        path = ROOT / (module.replace(".", "/") + ".py")
        assert f"class {name}(" in path.read_text()
    assert (ROOT / "examples" / "wandb_notebook" / "pipeline.py").is_file()
    assert importlib.util.find_spec("artvc.shim") is not None
    assert callable(shim.install)
