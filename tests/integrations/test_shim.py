"""Scripts that import wandb and can't be edited run on artvc."""

import json
import re
import textwrap
from pathlib import Path

import pytest

import artvc
from artvc import shim
from artvc.sdk import wandb_util

SNIPPET = "import artvc.shim\nartvc.shim.install()\n"


def write(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


def test_a_script_runs_with_its_arguments_name_and_path(desk, python):
    write(desk / "lib" / "beside.py", "VALUE = 7")
    write(
        desk / "lib" / "train.py",
        """
        import sys, wandb, beside
        from wandb import Image
        if __name__ == "__main__":
            with wandb.init(project="p", config={"lr": 0.1}) as run:
                wandb.log({"value": beside.VALUE})
            print(sys.argv, sys.path[0], __file__, run.summary["value"], Image.__module__)
        """,
    )
    done = python("-m", "artvc.shim", "lib/train.py", "--lr", "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "['lib/train.py',", "'--lr',", "'0.1']", str(desk / "lib"), "lib/train.py", "7", "artvc.sdk.image",
    ]  # fmt: skip
    assert artvc.Api(path=desk).runs("p")[0].config == {"lr": 0.1}


def test_a_module_runs_with_dash_m(desk, python):
    write(desk / "package" / "__init__.py", "")
    write(desk / "package" / "part.py", "NAME = 'part'")
    write(
        desk / "package" / "train.py",
        "import sys, wandb\nfrom .part import NAME\nprint(sys.argv[1:], __name__, __package__, NAME, wandb.Run.__module__)",
    )
    done = python("-m", "artvc.shim", "-m", "package.train", "x")
    assert done.stdout == "['x'] __main__ package part artvc.sdk.run\n", done.stderr


def test_the_snippet_of_two_lines(python):
    done = python(
        "-c", SNIPPET + "import wandb\nprint(wandb.Artifact.__module__, wandb.__version__)\nartvc.shim.install()"
    )
    assert done.stdout == f"artvc.sdk.artifact {shim.WANDB_VERSION}\n", done.stderr


def test_a_traceback_has_no_frames_of_the_shim(desk, python):
    write(desk / "broken.py", "import wandb\n\ndef f():\n    raise KeyError('deep')\n\nf()\n")
    done = python("-m", "artvc.shim", "broken.py")
    plain = done.stderr
    assert done.returncode == 1
    assert plain.splitlines()[0] == "Traceback (most recent call last):"
    frames = [(Path(file).name, line) for file, line in re.findall(r'File "(.*?)", line (\d+)', plain)]
    assert frames == [("broken.py", "6"), ("broken.py", "4")]
    assert plain.splitlines()[-1] == "KeyError: 'deep'"


def test_a_crash_is_recorded_as_one(desk, python):
    write(desk / "broken.py", "import wandb\nwandb.init(project='p', id='r1')\nwandb.log({'a': 1})\n1 / 0\n")
    done = python("-m", "artvc.shim", "broken.py")
    assert (done.returncode, "ZeroDivisionError" in done.stderr) == (1, True)
    run = artvc.Api(path=desk).run("p/r1")
    assert (run.state, run.summary["a"]) == ("crashed", 1)


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import sys; sys.exit()", 0), ("", 0)])
def test_the_exit_status_is_that_of_the_script(desk, python, code, status):
    write(desk / "script.py", code)
    assert python("-m", "artvc.shim", "script.py").returncode == status


def test_a_syntax_error_is_shown_as_python_does(desk, python):
    write(desk / "script.py", "import wandb\nx = = 1\n")
    done = python("-m", "artvc.shim", "script.py")
    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert "shim" not in done.stderr
    assert "runpy" not in done.stderr


@pytest.mark.parametrize("arguments", [["nothing.py"], ["-m", "nothing_of_that_name"], []])
def test_nothing_to_run_is_one_line_and_status_2(python, arguments):
    done = python("-m", "artvc.shim", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert python("-m", "artvc.shim", "--help").stdout.startswith("usage:")


COMMON = [
    ("wandb.errors", "CommError"), ("wandb.errors", "Error"), ("wandb.errors", "UsageError"),
    ("wandb.errors.errors", "CommError"), ("wandb.errors.term", "termwarn"), ("wandb.sdk", "Artifact"),
    ("wandb.sdk.wandb_run", "Run"), ("wandb.sdk.lib.runid", "generate_id"), ("wandb.sdk.lib", "RunDisabled"),
    ("wandb.sdk.lib.config_util", "ConfigError"), ("wandb.sdk.artifacts.artifact", "Artifact"),
    ("wandb.sdk.artifacts.exceptions", "ArtifactNotLoggedError"), ("wandb.sdk.data_types.image", "Image"),
    ("wandb.data_types", "Image"), ("wandb.util", "generate_id"), ("wandb.util", "make_artifact_name_safe"),
    ("wandb.apis", "Api"), ("wandb.apis.public", "Api"), ("wandb.apis.public", "Run"), ("wandb.apis.public", "Runs"),
    ("wandb.apis.public.runs", "Run"), ("wandb.wandb_run", "Run"), ("wandb.sdk.wandb_config", "Config"),
    ("wandb.sdk.wandb_summary", "Summary"), ("wandb", "Api"), ("wandb", "termlog"),
]  # fmt: skip


def test_common_submodules_are_there_by_every_form_of_import(python):
    lines = [
        f"from {module} import {name}\nimport {module}\nassert {module}.{name} is {name}" for module, name in COMMON
    ]
    done = python("-c", SNIPPET + "\n".join(lines) + "\nprint(Error.__module__)")
    assert done.stdout == "artvc.errors\n", done.stderr


def test_every_name_in_the_tables_leads_somewhere(python):
    code = """
import importlib.util, json
from artvc.shim import MODULES
missing = []
for module, table in MODULES.items():
    found = importlib.import_module(module)
    if "" in table and importlib.util.find_spec(table[""]) is None:
        missing.append(module)
        continue
    dir(found)
    missing += [f"{module}.{name}" for name in table if name and not hasattr(found, name)]
print(json.dumps(missing))
"""
    done = python("-c", SNIPPET + code)
    assert set(json.loads(done.stdout)) <= {"wandb.plot"}, done.stderr


def test_errors_are_caught_under_wandbs_names(desk, python):
    code = """
import wandb
with wandb.init(project="p") as run:
    try:
        run.use_artifact("nothing:latest")
    except wandb.errors.CommError as error:
        print("caught", isinstance(error, ValueError))
    draft = wandb.Artifact("a", "t")
    try:
        draft.version
    except wandb.errors.Error as error:
        print("draft")
"""
    assert python("-c", SNIPPET + code).stdout == "caught True\ndraft\n"


def test_run_config_and_summary_are_looked_up_each_time(python):
    code = """
import wandb
print(wandb.run is None)
run = wandb.init(project="p", config={"a": 1})
print(wandb.run is run, wandb.config.a, wandb.config is run.config)
wandb.finish()
print(wandb.run is None)
"""
    assert python("-c", SNIPPET + code).stdout == "True\nTrue 1 True\nTrue\n"


def test_import_star(python):
    code = "from wandb import *\nprint(Artifact.__module__, init.__module__)"
    assert python("-c", SNIPPET + code).stdout == "artvc.sdk.artifact artvc.sdk.current\n"


def test_what_is_not_there_is_an_error_that_says_so(python):
    code = """
import importlib.util
print(importlib.util.find_spec("wandb.sklearn"))
try:
    import wandb.sklearn
except ModuleNotFoundError as error:
    print(error)
import wandb
try:
    wandb.nothing
except AttributeError as error:
    print(error)
"""
    lines = python("-c", SNIPPET + code).stdout.splitlines()
    assert lines[:2] == ["None", "No module named 'wandb.sklearn'"]
    assert "stand-in for 'wandb' has no 'nothing'" in lines[2]


def test_libraries_find_wandb_and_its_version(python):
    code = """
import importlib.metadata, importlib.util
print(importlib.util.find_spec("wandb") is not None, importlib.metadata.version("wandb"))
import wandb
print(importlib.util.find_spec("wandb").name)
try:
    importlib.metadata.version("no-such-distribution")
except importlib.metadata.PackageNotFoundError:
    print("not found")
"""
    assert python("-c", SNIPPET + code).stdout == f"True {shim.WANDB_VERSION}\nwandb\nnot found\n"


def test_install_after_wandb_itself_is_a_usage_error(desk, python):
    write(desk / "wandb.py", "REAL = True")
    done = python("-c", "import wandb\n" + SNIPPET)
    assert "wandb is imported already" in done.stderr
    assert python("-c", SNIPPET + "import wandb\nprint(hasattr(wandb, 'REAL'))").stdout == "False\n"


def test_processes_that_the_script_starts_find_artvc_too(desk, python):
    write(desk / "child.py", "import wandb\nfrom wandb.errors import Error\nprint('child', Error.__module__)")
    write(
        desk / "parent.py",
        """
        import multiprocessing, subprocess, sys
        import wandb

        def work(queue):
            queue.put(wandb.Run.__module__)

        if __name__ == "__main__":
            subprocess.run([sys.executable, "child.py"], check=True)
            context = multiprocessing.get_context("spawn")
            queue = context.SimpleQueue()
            process = context.Process(target=work, args=(queue,))
            process.start()
            print("spawned", queue.get(), flush=True)
            process.join()
        """,
    )
    done = python("-m", "artvc.shim", "parent.py")
    assert done.stdout.splitlines() == ["child artvc.errors", "spawned artvc.sdk.run"], done.stderr


def test_a_child_without_artvc_gets_what_it_has_itself(desk, python):
    write(desk / "own" / "wandb.py", "print('its own')")
    done = python("-S", "-c", "import wandb", PYTHONPATH=f"{shim.PATH}:{desk / 'own'}")  # -S: nothing installed
    assert done.stdout == "its own\n", done.stderr


def test_safe_name_makes_a_name_that_an_artifact_may_have():
    assert wandb_util.make_artifact_name_safe("a b/c:d.e-f_g") == "a_b_c_d.e-f_g"
    long = wandb_util.make_artifact_name_safe("x" * 100 + "y" * 100)
    assert len(long) == 128
    assert artvc.Artifact(long, "t").name == long


def test_terms_go_to_stderr(capsys):
    shim.termlog("hello", repeat=False)
    shim.termwarn("careful")
    assert capsys.readouterr().err == "artvc: hello\nartvc: warning: careful\n"
