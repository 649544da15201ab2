"""What is declared is what is imported, and what is imported is declared."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Used where they are installed, done without where they are not.
OPTIONAL = {
    "distributed",
    "fsspec",
    "lightning",
    "numpy",
    "obstore",
    "pandas",
    "PIL",
    "pytorch_lightning",
    "torch",
    "transformers",
    "wandb",
    "yaml",
}
# Run as programs or by pytest, not imported.
TOOLS = {"hatchling", "import_linter", "mypy", "numpy", "pytest_xdist", "ruff"}
# Imported by the tests of what uses them, where they may be missing.
IF_THERE = {"matplotlib", "obstore", "pandas", "pyyaml"}


def imported(folder: str) -> set[str]:
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    own = {path.stem for path in (ROOT / folder).rglob("*.py")} | {"artvc", "tests"}
    return found - set(sys.stdlib_module_names) - own


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~ \[;]", one)[0].replace("-", "_") for one in requirements}


def test_the_package_imports_its_dependencies_and_no_others():
    assert imported("artvc") - OPTIONAL == declared(PROJECT["dependencies"])


def test_tests_and_examples_import_what_their_extras_bring():
    extras = {name: declared(wanted) for name, wanted in PROJECT["optional-dependencies"].items()}
    known = declared(PROJECT["dependencies"]) | extras["examples"] | extras["dev"] | OPTIONAL
    assert imported("tests") <= known | {path.stem for path in (ROOT / "examples").rglob("*.py")}
    assert imported("examples") <= extras["examples"] | OPTIONAL
    assert extras["dev"] - TOOLS - IF_THERE <= imported("tests")


def test_the_version_is_in_one_place():
    from artvc import __version__

    assert "version" in PROJECT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert sorted(PROJECT["dependencies"]) == PROJECT["dependencies"]
