"""Flipped bits, cut files, lost files: found with their place, or harmless; never a wrong byte, never a traceback.

One bit of every byte of every file with ``ARTVC_FAULTS=full``, a sample otherwise.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from artvc import maintenance, recording
from artvc.errors import ArtvcError
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import index, refs
from artvc.store.fsio import Disk
from tests.faults.world import PROJECT, SETTINGS, Files, fill, noise, now, weights

CONTENTS: list[Files] = [
    {"one": b"1" * 500, "sub/two": noise("two", 900), "empty": b""},
    {"one": b"2" * 500, "sub/two": noise("two", 900), "large": noise("large", 80_000)},
    {"three": b"3"},
    {"three": b"4"},
    {"model.safetensors": weights(1)},
    {"model.safetensors": weights(1, moved=1e-6)},
]
SKIPPED = ("cache/stat", "checkouts")  # read by commit and status only; a file that is not whole is passed over


@pytest.fixture(scope="module")
def pristine(arena: Path) -> Path:
    """A small repository with all kinds of files: packs, merged index, transactions, checkpoint, configuration."""
    root = arena / "pristine"
    root.mkdir()
    patch = pytest.MonkeyPatch()
    patch.setattr(refs, "_CHECKPOINT_EVERY", 3)
    patch.setattr(index, "_LOOSE_PACKS", 2)
    repo, _ = Repository.create(root, project=PROJECT, settings=SETTINGS, disk=Disk(sync=False))
    with repo:
        for files in CONTENTS:
            source = arena / "source"
            fill(source, files)
            recording.commit_paths(repo, CommitRequest(paths=(source,), name="data", type="dataset"), now=now)
            shutil.rmtree(source)
        recording.set_alias(repo, repo.resolve("data:v0").version, "best", now=now())
    patch.undo()
    kinds = {path.relative_to(root / ".artvc").parts[0] for path in (root / ".artvc").rglob("*") if path.is_file()}
    assert {"packs", "refs", "cache", "config", "format"} <= kinds
    assert (root / ".artvc/cache/packs.idx").exists()
    assert list((root / ".artvc/refs").glob("*.checkpoint"))
    return root


def look(root: Path) -> tuple[bool, str]:
    """Whether everything is byte-exact; a wrong byte is an error of the test, whatever fsck says.

    Returns:
        whether all versions could be read (and were right), and what was said where not.
    """
    said = []
    complete = True
    try:
        with Repository.open(root, SETTINGS, Disk(sync=False)) as repo:
            try:
                versions = repo.versions(PROJECT, "data")
                complete = [v.number for v in versions] == list(range(len(CONTENTS)))
                complete = complete and repo.aliases(PROJECT, "data") == {"best": 0, "latest": len(CONTENTS) - 1}
                complete = complete and len(repo.runs()) == len(CONTENTS)
                for version in versions:
                    complete = read_version(repo, version, said) and complete
            except ArtvcError as exc:
                complete = False
                said.append(exc.message)
            said += [problem.message for problem in maintenance.fsck(repo).problems]
    except ArtvcError as exc:
        return False, exc.message
    return complete, "\n".join(said)


def read_version(repo: Repository, version, said: list[str]) -> bool:
    files = CONTENTS[version.number]
    try:
        repo.properties(version.properties_id)
        repo.commit(version.commit_id)
        seen = 0
        for path, entry in repo.walk(version):
            assert path in files, "a wrong name was handed out"
            assert b"".join(repo.read(entry)) == files[path], "wrong bytes were handed out"
            seen += 1
    except ArtvcError as exc:
        said.append(exc.message)
        return False
    assert seen == len(files)
    return True


def damaged_files(root: Path) -> list[Path]:
    base = root / ".artvc"
    return [
        path
        for path in sorted(base.rglob("*"))
        if path.is_file() and not str(path.relative_to(base)).startswith(SKIPPED) and path.stat().st_size
    ]


def is_cache(root: Path, path: Path) -> bool:
    return "cache" in path.parts or path.suffix == ".checkpoint" or path.parent.name == "locks"


def test_every_flipped_bit_is_found_or_harmless(pristine: Path, sample, record_property) -> None:
    places = [(path, at) for path in damaged_files(pristine) for at in range(path.stat().st_size)]
    rng = random.Random(4)
    headers = [one for one in places if one[1] < 64 or one[1] > one[0].stat().st_size - 80]
    chosen = {*sample(headers, 300), *sample([one for one in places if "cache" not in one[0].parts], 700)}
    chosen |= {*sample([one for one in places if "cache" in one[0].parts], 60)}
    found = harmless = 0
    for path, at in sorted(chosen):
        original = path.read_bytes()
        broken = bytearray(original)
        broken[at] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        where = f"{path.relative_to(pristine)} at byte {at}"
        try:
            complete, said = look(pristine)
        except Exception as exc:
            raise AssertionError(f"{where}: {type(exc).__name__}: {exc}") from exc
        finally:
            path.write_bytes(original)
        if not complete:
            assert said, f"{where}: something is missing and nobody says so"
            found += 1
        elif said:
            found += 1
        else:
            harmless += 1
        if is_cache(pristine, path):
            assert complete, f"{where}: a cache was trusted: {said}"
        if path.suffix in (".pack", ".json") or path.name == "format":
            assert said, f"{where}: fsck did not notice"
        restore_caches(pristine)
    record_property("faults: flipped bits found", found)
    record_property("faults: flipped bits harmless", harmless)


_caches: dict[Path, bytes] = {}


def restore_caches(root: Path) -> None:
    """A reader may have thrown away a cache; put it back for the next flip."""
    path = root / ".artvc/cache/packs.idx"
    if path.exists() and path not in _caches:
        _caches[path] = path.read_bytes()
    elif not path.exists() and path in _caches:
        path.write_bytes(_caches[path])


def _cut(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: len(data) * size // 8]


CHANGES: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda data: b"",
    "cut by a byte": lambda data: data[:-1],
    "garbage appended": lambda data: data + b"garbage",
    "zeros": lambda data: bytes(len(data)),
    "twice": lambda data: data + data,
    "reversed": lambda data: data[::-1],
    "lost": lambda data: None,
    **{f"cut to {i}/8": _cut(i) for i in range(1, 8)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whole_files_changed(pristine: Path, change: str, record_property) -> None:
    count = 0
    for path in damaged_files(pristine):
        restore_caches(pristine)
        if not path.exists():
            continue
        original = path.read_bytes()
        new = CHANGES[change](original)
        path.unlink()
        if new is not None:
            path.write_bytes(new)
        try:
            complete, said = look(pristine)
        except Exception as exc:
            raise AssertionError(f"{path.relative_to(pristine)} {change}: {type(exc).__name__}: {exc}") from exc
        finally:
            path.write_bytes(original)
        last = max((pristine / ".artvc/refs").glob("*.json"))
        if path == last and change == "lost":
            continue  # a log without its last entry is a whole log; remotes and fsck of checkpoints may tell
        assert complete or said, f"{path.relative_to(pristine)} {change}: nobody says so"
        if is_cache(pristine, path):
            assert complete, f"{path.relative_to(pristine)} {change}: a cache was trusted: {said}"
        count += 1
    record_property("faults: files changed as a whole", count)


def test_swapped_and_copied_packs(pristine: Path) -> None:
    packs = sorted((pristine / ".artvc/packs").glob("*.pack"))
    one, two = packs[0].read_bytes(), packs[1].read_bytes()
    packs[0].write_bytes(two)
    packs[1].write_bytes(one)
    try:
        complete, said = look(pristine)
        assert said
    finally:
        packs[0].write_bytes(one)
        packs[1].write_bytes(two)
    copy = packs[0].with_name("conflicted copy (2).pack")
    copy.write_bytes(one)
    other = packs[0].with_name("0" * 64 + ".pack")
    other.write_bytes(one)
    (packs[0].parent / ".DS_Store").write_bytes(b"x")
    try:
        complete, said = look(pristine)
        assert complete
        assert "0" * 64 in said
    finally:
        copy.unlink()
        other.unlink()
        (packs[0].parent / ".DS_Store").unlink()
    assert look(pristine) == (True, "")
