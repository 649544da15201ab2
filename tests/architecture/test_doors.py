"""Who may touch files, and what nobody may call: read from the source, so that a new module can't slip through."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "artvc"
MODULES = sorted(PACKAGE.rglob("*.py"))

DOORS = {
    "store/fsio.py": "everything below .artvc",
    "worktree/restoring.py": "the user's directories, at checkout",
}
# Single calls elsewhere that write, or that only look as if they did; each must still be there.
ALLOWED = {
    ("cli/main.py", "os.open"): "the null device in place of a closed pipe",
    ("integrations/huggingface.py", "tempfile.TemporaryDirectory"): "where transformers writes a model to be logged",
    ("remotes/git/gitdir.py", "os.chmod"): "what core.sharedRepository asks for",
    ("remotes/git/channels.py", "tempfile.mkdtemp"): "a directory with a short path for the socket of ssh",
    ("remotes/git/channels.py", "shutil.rmtree"): "and its removal",
    ("remotes/git/channels.py", "os.write"): "the input of ssh",
    ("sdk/artifact.py", "open"): "the file that new_file() hands out; its descriptor comes from the door",
    ("sdk/artifact_files.py", "os.makedirs"): "the directory that download() was asked to fill",
    ("sdk/references.py", "os.open"): "a file that a reference names, for reading",
    ("sdk/workspace.py", "start.mkdir"): "the directory that init(dir=...) names",
    ("sdk/workspace.py", "tempfile.mkdtemp"): "a repository of a disabled run, outside of everything",
    ("sdk/workspace.py", "shutil.rmtree"): "and its removal",
    ("sync/sharing.py", "target.mkdir"): "the directory that a clone goes into",
    ("sync/sharing.py", "shutil.rmtree"): "and its removal where nothing came",
    ("workers.py", "tempfile.TemporaryDirectory"): "the scratch store of a worker, outside of everything",
    ("workers.py", "tempfile.gettempdir"): "where they lie; writes nothing",
    ("workers.py", "shutil.rmtree"): "and those of workers that were killed",
    ("workers.py", "os.open"): "the same directories, for their locks",
    ("worktree/unchanged.py", "os.write"): "pipes between processes",
    ("store/kernel.py", "os.sync"): "a checkout made durable; writes nothing",
    ("store/ingest.py", "os.open"): "source files, for reading",
}

OS_WRITES = {
    "chmod", "chown", "copy_file_range", "fchmod", "fchown", "fdatasync", "fsync", "ftruncate", "lchown", "link",
    "makedirs", "mkdir", "mkfifo", "mknod", "open", "posix_fallocate", "pwrite", "pwritev", "remove", "removedirs",
    "removexattr", "rename", "renames", "replace", "rmdir", "sendfile", "setxattr", "symlink", "sync", "truncate",
    "unlink", "utime", "write", "writev",
}  # fmt: skip
PATH_WRITES = {
    "chmod", "hardlink_to", "mkdir", "rename", "rmdir", "symlink_to", "touch", "unlink", "write_bytes", "write_text",
}  # fmt: skip
READ_MODES = {"r", "rb", "rt"}
READING_SHUTIL = {"shutil.which", "shutil.get_terminal_size", "shutil.disk_usage"}

FORBIDDEN_MODULES = {
    "cloudpickle", "dill", "marshal", "pickle", "pty", "shelve", "tarfile", "zipfile", "_pickle",
}  # fmt: skip
LISTS_ARCHIVES = {"store/containers.py"}  # zipfile, of which only the directory is read and nothing is extracted
FORBIDDEN_CALLS = {"__import__", "compile", "eval", "exec", "os.popen", "os.system"}
YAML_CALLS = {"yaml.safe_load"}  # the others make any object that the file names
SILENT = [
    path
    for path in MODULES
    if path.parent.name not in {"cli", "integrations", "sdk", "shim_path"}
    and path.name not in {"filesystem.py", "settings.py", "shim.py", "__init__.py"}
]


def module_name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def opens_for_writing(call: ast.Call, position: int) -> bool:
    modes = [word.value for word in call.keywords if word.arg == "mode"] + call.args[position : position + 1]
    return any(not (isinstance(mode, ast.Constant) and mode.value in READ_MODES) for mode in modes)


def writes(called: str, call: ast.Call) -> bool:
    """Whether a call may write a file: by what it is called and, for open, by the mode."""
    owner, _, last = called.rpartition(".")
    if owner.rpartition(".")[2] in {"disk", "_disk", "Disk"}:
        return False  # a method of the door
    if owner == "os":
        return last in OS_WRITES
    if owner == "shutil":
        return called not in READING_SHUTIL
    if owner in {"tempfile", "io", "codecs"}:
        return owner == "tempfile" or (last == "open" and opens_for_writing(call, 1))
    if called == "open":
        return opens_for_writing(call, 1)
    return last in PATH_WRITES or (last == "open" and any(word.arg == "mode" for word in call.keywords))


def found_writes() -> set[tuple[str, str]]:
    return {
        (module_name(path), called)
        for path in MODULES
        if module_name(path) not in DOORS
        for called, call in calls(path)
        if writes(called, call)
    }


def test_only_the_doors_write():
    assert found_writes() == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "open(p, 'w')", "open(p, mode=m)", "open(p, 'r+b')", "os.rename(a, b)", "os.replace(a, b)", "os.open(p, flags)",
        "shutil.copyfile(a, b)", "path.write_text('')", "self.root.mkdir()", "Path(p).unlink()", "tempfile.mkstemp()",
        "io.open(p, 'wb')", "p.open(mode='w')",
    ],
)  # fmt: skip
def test_the_lint_sees_writes(line):
    call = ast.parse(line).body[0].value
    assert writes(dotted(call.func), call)


@pytest.mark.parametrize(
    "line", ["open(p)", "open(p, 'rb')", "self._disk.unlink(p)", "text.replace('a', 'b')", "os.stat(p)"]
)
def test_the_lint_lets_reading_pass(line):
    call = ast.parse(line).body[0].value
    assert not writes(dotted(call.func), call)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_nobody_unpickles_unpacks_or_evaluates(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            allowed = {"zipfile"} if module_name(path) in LISTS_ARCHIVES else set()
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES - allowed
            assert all(alias.asname is None for alias in node.names if alias.name in {"os", "shutil"})
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN_MODULES
            # Called by their bare names they would escape the lint above.
            assert node.module not in {"os", "shutil", "tempfile", "builtins"}, ast.unparse(node)
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            assert called not in FORBIDDEN_CALLS, node.lineno
            assert not called.startswith("yaml.") or called in YAML_CALLS, node.lineno
            assert not any(word.arg == "shell" for word in node.keywords), node.lineno


@pytest.mark.parametrize("path", SILENT, ids=module_name)
def test_below_the_faces_nothing_prints_or_reads_environment_or_clock(path):
    tree = ast.parse(path.read_text())
    named = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    asked = {
        "print",
        "input",
        "sys.stdout",
        "sys.stderr",
        "os.environ",
        "os.getenv",
        "time.time",
        "datetime.datetime.now",
    }
    assert not named & asked
