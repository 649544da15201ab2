"""What each command prints and changes."""

import json
import os
import re
import subprocess


def test_init_is_harmless_twice(shell):
    assert shell("init").startswith("made an empty repository in ")
    assert shell("init").startswith("there is a repository already in ")
    assert shell.json("init")["created"] is False


def test_commit_says_version_files_and_bytes(shell):
    shell("init")
    shell.write("data/a", "12345")
    out = shell("commit", "data", "-n", "d", "-t", "dataset", "-a", "good")
    assert re.match(r"\[d:v0\] 1 file, 5 B \(5 B new, \d+ B stored\)\n  aliases: good, latest\n  run: ", out)
    assert "unchanged: 1 file, 5 B" in shell("commit", "data")


def test_commit_json_has_the_facts(shell):
    shell("init")
    shell.write("data/a", "12345")
    shell.write("facts.json", '{"rows": 7, "nested": {"x": [1, null]}}')
    found = shell.json(
        *("commit", "data", "-n", "d", "-t", "dataset", "--metadata", "facts.json", "--metadata", "lr=0.1"),
        *("--metadata", "note=plain words", "--description", "*what*", "--tag", "clean", "--job-type", "load"),
    )
    assert (found["version"], found["created"], found["files"], found["bytes"]) == ("v0", True, 1, 5)
    shown = shell.json("show", "d")
    assert shown["metadata"] == {"rows": 7, "nested": {"x": [1, None]}, "lr": 0.1, "note": "plain words"}
    assert (shown["description"], shown["tags"]) == ("*what*", ["clean"])
    assert shell.json("log")["commits"][0]["job_type"] == "load"


def test_checkout_default_place_path_and_force(filled):
    assert filled("checkout", "mnist-raw").startswith("mnist-raw:v0 -> artifacts/mnist-raw:v0: 2 written (12 B)")
    assert (filled.cwd / "artifacts/mnist-raw:v0/sub/b.txt").read_text() == "world\n"
    filled("checkout", "mnist-raw:v0", "part", "--path", "sub")
    assert not (filled.cwd / "part/a.txt").exists()
    filled("checkout", "mnist-raw:v0/a.txt", "one")
    assert (filled.cwd / "one/a.txt").read_text() == "hello\n"
    filled.write("artifacts/mnist-raw:v0/a.txt", "mine")
    assert "would overwrite changes" in filled.fails(5, "checkout", "mnist-raw")
    filled("checkout", "mnist-raw", "--force")
    assert (filled.cwd / "artifacts/mnist-raw:v0/a.txt").read_text() == "hello\n"


def test_log_lists_and_draws(filled):
    text = filled("log")
    assert text.index("train") < text.index("first")
    assert "Inputs:  mnist-raw:v0 (latest)" in text
    assert "Outputs: net:v0 (best, latest)" in text
    lines = filled("log", "--oneline", "--graph").splitlines()
    assert [line[0] for line in lines] == ["*", "*"]
    assert lines[0].endswith("train -> net:v0 (best, latest) <- mnist-raw:v0 (latest)")
    assert filled("log", "-n", "1", "--oneline").count("\n") == 1
    assert [one["message"] for one in filled.json("log", "net")["commits"]] == ["train", "first"]
    assert [one["message"] for one in filled.json("log", "mnist-raw")["commits"]] == ["first"]


def test_show_a_version_and_a_run(filled):
    assert "Used by:" in filled("show", "mnist-raw")
    run = filled.json("log")["commits"][0]
    for word in (run["run"], run["commit"][:10]):
        shown = filled.json("show", word)
        assert shown["message"] == "train"
        assert shown["environment"]["python"]
        assert "Environment:" in filled("show", word)
    assert filled.json("show", "net")["created"] == run["ended"]


def test_ls(filled):
    assert filled("ls").splitlines() == [
        "mnist-raw  dataset  v0  12 B  1 version",
        "net        model    v0   7 B  1 version  best",
    ]
    assert filled("ls", "mnist-raw/") == filled("ls", "mnist-raw:v0/") == "a.txt\nsub/\n"
    assert filled("ls", "mnist-raw") == "a.txt\nsub/\n"
    assert filled("ls", "-R", "mnist-raw:v0") == "a.txt\nsub/b.txt\n"
    assert filled("ls", "mnist-raw/sub") == "b.txt\n"
    assert filled.json("ls", "-R", "mnist-raw")["entries"][1]["path"] == "sub/b.txt"
    assert filled.json("ls")["artifacts"][1]["aliases"] == {"best": "v0", "latest": "v0"}
    assert filled.json("ls")["artifacts"][1]["bytes"] == 7


def test_cat_is_exact(filled):
    (filled.cwd / "bin").write_bytes(bytes(range(256)) * 4096)
    filled("commit", "bin", "-n", "bin", "-t", "x")
    import subprocess
    import sys

    out = subprocess.run(
        [sys.executable, "-m", "artvc", "cat", "bin/bin"],
        cwd=filled.cwd,
        env=filled.env,
        capture_output=True,
        check=True,
    )
    assert out.stdout == bytes(range(256)) * 4096
    assert "is a directory" in filled.fails(2, "cat", "mnist-raw/sub")


def test_status_and_its_exit_code(filled):
    assert filled("status").splitlines() == ["data: mnist-raw:v0, clean", "model.pt: net:v0, clean"]
    filled.write("data/a.txt", "changed")
    filled.write("data/new", "new")
    os.unlink(filled.cwd / "data/sub/b.txt")
    text = filled("status", "data")
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["modified:", "a.txt"],
        ["deleted:", "sub/b.txt"],
        ["added:", "new"],
    ]
    assert filled.run("status", "--exit-code").returncode == 1
    assert filled.json("status")["paths"][0]["modified"] == ["a.txt"]


def test_alias(filled):
    filled.write("model.pt", "better")
    filled("commit", "model.pt")
    assert filled("alias", "net:v1", "best") == "net:best -> v1 (was v0)\n"
    assert filled("alias", "net") == "net:best -> v1\nnet:latest -> v1\n"
    assert filled("alias", "-d", "net:best") == "removed net:best (was v1)\n"
    assert "no alias 'best'" in filled.fails(4, "alias", "-d", "net:best")
    assert "kept for versions" in filled.fails(2, "alias", "net:v0", "v7")


def test_config(filled):
    filled("config", "project.default", "mnist")
    assert filled("config", "project.default") == "mnist\n"
    assert filled("config", "--list") == "project.default=mnist\n"
    assert str(filled.cwd) in filled("config", "--list", "--show-origin")
    filled("config", "project.default", "--unset")
    assert filled.run("config", "project.default").returncode == 1
    assert "not a configuration key" in filled.fails(2, "config", "a b", "c")


def test_metadata_is_json_where_it_is_json(filled):
    words = ["a=1", "b=null", "c=[1, 2]", "d=NaN", "e=x=y", "f=", "g.h=true", f"i={'9' * 5000}"]
    filled("commit", "data", *(part for word in words for part in ("--metadata", word)))
    assert filled.json("show", "mnist-raw")["metadata"] == {
        "a": 1,
        "b": None,
        "c": [1, 2],
        "d": "NaN",
        "e": "x=y",
        "f": "",
        "g.h": True,
        "i": "9" * 5000,
    }


def test_an_alias_listing_and_a_run_as_json(filled):
    moved = filled.json("alias", "net:v0", "good")
    assert (moved["alias"], moved["previous"]) == ("good", None)
    assert filled.json("alias", "net")["artifacts"][0]["aliases"] == {"best": "v0", "good": "v0", "latest": "v0"}
    assert filled.json("alias", "-d", "net:good")["removed"] == "good"


def test_every_command_answers_in_json(filled):
    for argv in (
        *(["init"], ["commit", "data"], ["checkout", "net"], ["log"], ["show", "net"], ["ls"], ["ls", "net"]),
        *(["status"], ["alias"], ["alias", "net:v0", "x"], ["config", "a.b", "c"], ["config", "--list"], ["fsck"]),
        *(["gc", "--expired"], ["gc", "--dry-run"], ["repack"], ["repack", "--all", "--dry-run"]),
        *(["version"], ["help"], ["help", "commit"]),
    ):
        assert isinstance(filled.json(*argv), dict), argv


def test_verbose_says_what_is_used_on_stderr(filled):
    done = filled.run("-v", "ls")
    assert done.stdout == filled("ls")
    assert done.stderr.startswith(f"artvc: repository {filled.cwd}/.artvc, project ")
    failed = filled.run("-v", "cat", "nope/x")
    assert (failed.returncode, "Traceback" in failed.stderr) == (4, True)


def test_the_repository_may_be_named_by_the_environment(filled):
    for place in (filled.cwd, filled.cwd / ".artvc"):
        done = filled.run("-C", "/", "ls", env={"ARTVC_DIR": str(place)})
        assert done.stdout == filled("ls")


def test_without_arguments_the_help_is_shown(shell):
    done = shell.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: artvc ")


def test_global_options(filled):
    assert filled.run("-C", "data", "log", "--oneline").stdout.count("\n") == 2
    assert filled("-q", "status") == filled("status", "-q") == ""
    assert json.loads(filled("--json", "ls")) == json.loads(filled("ls", "--json"))
    assert "\x1b[" in filled("--color", "always", "log")
    assert "\x1b[" not in filled("log")


def test_help_and_version(filled):
    assert filled("--version") == filled("-V") == filled("version")
    for command in ("commit", "checkout", "log"):
        assert "Usage: artvc " + command in filled("help", command)
        assert filled(command, "-h") == filled(command, "--help")
    assert "exit-codes" in filled("help")
    assert "130" in filled("help", "exit-codes")
    assert "no command or topic" in filled.fails(4, "help", "nonsense")


def test_fsck_reports_damage_and_what_it_affects(filled):
    assert "all sound" in filled("fsck")
    for pack in (filled.cwd / ".artvc/packs").iterdir():
        raw = bytearray(pack.read_bytes())
        raw[80] ^= 1
        pack.write_bytes(raw)
    done = filled.run("fsck")
    assert done.returncode == 13
    assert "damaged: " in done.stdout
    assert "affects uncategorized/net:v0" in done.stdout
    assert filled.run("cat", "net/model.pt").returncode == 13


def test_gc_and_repack_say_what_they_did(filled):
    assert "freed 0 B (0 packs)" in filled("gc")
    assert "repacked" in filled("repack")
    assert "nothing to do" in filled("repack")
    assert "condemned; 'artvc gc' deletes" in filled("fsck")
    assert " condemned until 2" in filled("gc", "-n")
    assert filled.json("gc", "--grace", "0", "--dry-run")["deleted_packs"] > 0
    assert filled.json("gc", "--grace", "0")["deleted_packs"] > 0
    assert filled.json("fsck")["condemned"] == 0
    assert "no time span" in filled.fails(2, "gc", "--grace", "soon")
    assert "--all" in filled.fails(2, "repack", "--level", "3")


def test_gc_deletes_nothing_where_something_is_damaged(filled):
    for pack in (filled.cwd / ".artvc/packs").iterdir():
        raw = bytearray(pack.read_bytes())
        raw[-40] ^= 1
        pack.write_bytes(raw)
    before = sorted((filled.cwd / ".artvc/packs").iterdir())
    assert "nothing was deleted" in filled.fails(13, "gc", "--grace", "0")
    assert sorted((filled.cwd / ".artvc/packs").iterdir()) == before


def test_show_patch_gives_the_code_that_ran(filled):
    def git(*argv, data=None):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *argv], cwd=filled.cwd, check=True, capture_output=True, input=data)
        return done.stdout.decode()

    outside = filled.json("log")["commits"][0]
    assert "not started in a git repository" in filled.fails(4, "show", "--patch", outside["run"])
    git("init", "-q")
    filled.write("train.py", "lr = 0.1\n")
    git("add", "train.py")
    git("commit", "-q", "-m", "first")
    filled.write("train.py", "lr = 0.2\n")
    run = filled.json("commit", "train.py", "-n", "code", "-t", "code")["run"]
    patch = filled("show", "--patch", run)
    assert "+lr = 0.2" in patch
    assert "see 'artvc show --patch'" in filled("show", run)
    filled.write("train.py", "lr = 0.1\n")
    git("apply", data=patch.encode())
    assert (filled.cwd / "train.py").read_text() == "lr = 0.2\n"
