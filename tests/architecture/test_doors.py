"""Who may touch files, and what nobody may call: read from the source, so that a new module can't slip through."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "artvc"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# Modules that may write files, and why.
WRITERS = {
    "store/fsio.py": "the one door to .artvc",
    "worktree.py": "restores versions into the user's directories",
}
OS_WRITES = {
    "open", "write", "writev", "pwrite", "pwritev", "rename", "renames", "replace", "link", "symlink", "unlink",
    "remove", "rmdir", "removedirs", "mkdir", "makedirs", "truncate", "ftruncate", "fsync", "fdatasync", "mknod", "mkfifo",
}  # fmt: skip
PATH_WRITES = {"write_bytes", "write_text", "unlink", "mkdir", "rmdir", "rename", "symlink_to", "hardlink_to", "touch"}
# Calls that look like writes and are not.
EXCEPTIONS = {
    ("store/ingest.py", "os.open"): "opens source files for reading",
    ("cli/main.py", "os.open"): "opens the null device in place of a closed pipe",
    ("sdk/artifact.py", "open"): "new_file hands the user a file that the disk opened",
    ("sdk/artifact.py", "os.makedirs"): "the directory that download was asked to write to",
    ("sdk/workspace.py", "start.mkdir"): "the directory that init(dir=...) names",
    ("sdk/workspace.py", "shutil.rmtree"): "the scratch repository of a disabled run",
}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "tarfile", "zipfile"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load"}


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_doors_write(path):
    name = str(path.relative_to(PACKAGE))
    if name in WRITERS:
        pytest.skip(WRITERS[name])
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = name_of(node.func)
        if (name, called) in EXCEPTIONS:
            continue
        assert not (called.startswith("os.") and called[3:] in OS_WRITES), f"{called} in line {node.lineno}"
        assert not called.startswith("shutil.") or called == "shutil.which", f"{called} in line {node.lineno}"
        last = called.rpartition(".")[2]
        # The doors' own methods bear the same names: they are called on a disk.
        if last in PATH_WRITES and "disk" not in called.lower():
            raise AssertionError(f"{called} in line {node.lineno}")
        if called == "open":
            mode = node.args[1] if len(node.args) > 1 else None
            assert mode is None or (isinstance(mode, ast.Constant) and set(mode.value) <= set("rbt")), node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_unpickles_unpacks_or_evaluates(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in FORBIDDEN_MODULES
        elif isinstance(node, ast.Call):
            assert name_of(node.func) not in FORBIDDEN_CALLS, node.lineno
            shell = [word for word in node.keywords if word.arg == "shell"]
            assert not shell, node.lineno
