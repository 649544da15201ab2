"""What is recorded of a run's code: enough to have it again."""

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from artvc import provenance


def git(root: Path, *argv: str, data: bytes | None = None) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *argv], cwd=root, check=True, capture_output=True, input=data)
    return done.stdout.decode()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A git work tree with one commit."""
    root = tmp_path / "code"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    for name, text in {"train.py": "a = 1\nb = 2\n", "gone.py": "old\n", "same.py": "same\n", "ü.py": "u\n"}.items():
        (root / name).write_text(text)
    (root / "weights.bin").write_bytes(b"\0\1\2")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def facts(root: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", provenance.capture(root, ["train.py"], environment=False).code["git"])


def test_a_clean_tree_has_its_commit_and_no_patch(code: Path) -> None:
    found = facts(code)
    assert found["commit"] == git(code, "rev-parse", "HEAD").strip()
    assert found["branch"] == "main"
    assert found["dirty"] is False
    assert "patch" not in found


def test_the_patch_brings_a_clean_clone_to_what_ran(code: Path, tmp_path: Path) -> None:
    (code / "train.py").write_text("a = 1\nb = 3\nc = 'ü'")  # and no newline at its end
    (code / "gone.py").unlink()
    (code / "ü.py").write_text("")
    (code / "new.py").write_text("added\n")
    git(code, "add", "new.py")
    (code / "untracked.txt").write_text("not code of ours")
    found = facts(code)
    assert found["dirty"] is True
    git(tmp_path, "clone", "-q", str(code), "clone")
    clone = tmp_path / "clone"
    git(clone, "apply", data=found["patch"].encode())
    names = {path.name for path in clone.iterdir() if path.name != ".git"}
    assert names == {"train.py", "same.py", "ü.py", "new.py", "weights.bin"}
    for name in names:
        assert (clone / name).read_bytes() == (code / name).read_bytes()
    assert "not_in_patch" not in found


def test_what_is_no_text_or_too_large_is_named(code: Path) -> None:
    (code / "weights.bin").write_bytes(b"\0\1\3")
    (code / "train.py").write_text("x\n" * 200_000)
    (code / "same.py").write_bytes(b"latin \xe9\n")
    (code / "gone.py").write_text("changed\n")
    found = facts(code)
    assert found["not_in_patch"] == ["same.py", "train.py", "weights.bin"]
    assert "+changed" in found["patch"]


def test_a_tree_without_commit_has_neither(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    found = facts(tmp_path)
    assert "commit" not in found
    assert "patch" not in found


def test_credentials_in_the_origin_are_not_kept(code: Path) -> None:
    git(code, "remote", "add", "origin", "https://ada:secret@example.com/code.git")
    assert facts(code)["origin"] == "https://example.com/code.git"


def test_more_files_than_are_looked_at_leave_open_whether_something_changed(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code / "train.py").write_text("changed\n")
    monkeypatch.setattr(provenance, "_DIRTY_LIMIT", 5)
    assert facts(code)["dirty"] is True  # all five
    monkeypatch.setattr(provenance, "_DIRTY_LIMIT", 4)
    found = facts(code)
    assert found["dirty"] is None
    assert "patch" not in found
    (code / ".git" / "index").unlink()
    assert facts(code)["dirty"] is True  # an index that was never written has nothing
