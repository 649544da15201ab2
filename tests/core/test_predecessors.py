"""What a file grew out of: found by lineage, worth bytes, and named when it is damaged."""

import random
import struct
from pathlib import Path

import pytest

from artvc import maintenance
from artvc.repo import Repository
from artvc.store.packs import Pack


def weights(seed: int, moved: float = 0.0, count: int = 60_000) -> bytes:
    draw = random.Random(seed)
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (count, 4 * count)
    array = [draw.gauss(0, 0.02) + draw.gauss(0, moved) for _ in range(count)]
    return len(header).to_bytes(8, "little") + header + struct.pack(f"<{count}f", *array)


def put(desk, name: str, data: bytes) -> None:
    path = desk.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def deltas(repo: Repository) -> int:
    found = 0
    for path in sorted(Path(repo.objects.packs).glob("*.pack")):
        pack = Pack.open(repo.disk, str(path))
        found += len(list(pack.bases()))
        pack.close()
    return found


def test_the_latest_version_of_the_same_path(desk):
    put(desk, "m/model.safetensors", weights(1))
    desk.commit("m")
    put(desk, "m/model.safetensors", weights(1, 1e-6))
    desk.commit("m")
    assert deltas(desk.repo) == 1


def test_the_same_path_of_an_input(desk):
    put(desk, "base/model.safetensors", weights(1))
    desk.commit("base", name="base")
    put(desk, "tuned/model.safetensors", weights(1, 1e-6))
    desk.commit("tuned", name="tuned", inputs=("base:v0",))
    assert deltas(desk.repo) == 1


def test_a_file_of_an_input_with_another_name_and_nearly_the_same_size(desk):
    put(desk, "base/initial.safetensors", weights(1))
    put(desk, "base/readme.safetensors", b"x" * 100)
    desk.commit("base", name="base")
    put(desk, "tuned/model.safetensors", weights(1, 1e-6))
    desk.commit("tuned", name="tuned", inputs=("base:v0",))
    assert deltas(desk.repo) == 1


def test_nothing_is_near(desk):
    put(desk, "base/model.bin", weights(1))
    desk.commit("base", name="base")
    put(desk, "tuned/model.safetensors", weights(1, 1e-6))
    desk.commit("tuned", name="tuned", inputs=("base:v0",))
    assert deltas(desk.repo) == 0


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("harm", ["lost", "flipped"])
def test_a_damaged_base_names_every_version_that_depends_on_it(desk, harm, full):
    for number in range(3):
        put(desk, "m/model.safetensors", weights(1, number * 1e-6))
        desk.commit("m", name="net")
    put(desk, "other/model.safetensors", weights(2, count=60_001))
    desk.commit("other", name="other")
    assert maintenance.fsck(desk.repo, full=full).clean
    big = max(Path(desk.repo.objects.packs).glob("*.pack"), key=lambda path: (path.stat().st_size, path.name))
    packs = sorted(Path(desk.repo.objects.packs).glob("*.pack"), key=lambda path: path.stat().st_mtime_ns)
    base = next(path for path in packs if path.stat().st_size > 0.9 * big.stat().st_size)
    whole = base.read_bytes()
    if harm == "lost":
        base.unlink()
    else:
        base.write_bytes(whole[:100_000] + bytes([whole[100_000] ^ 1]) + whole[100_001:])
    with Repository.open(desk.repo.root, desk.repo.settings) as repo:
        found = maintenance.fsck(repo, full=full)
    if harm == "flipped" and not full:
        assert found.clean  # a quick check reads no data
        return
    affected = {label for problem in found.problems for label in problem.affected}
    assert {one for one in affected if "run" not in one} == {f"uncategorized/net:v{number}" for number in range(3)}
