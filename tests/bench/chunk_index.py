"""What a repository of ten million chunks costs to open: see ``__main__``.

The packs are faked: each is a header, an index with random ids and a trailer, without the records in between, so that 25 GB
stand for 640.  All else is the real thing: the repository, its list of packs, their indexes, the merged file.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from xxhash import xxh3_64_intdigest

from artvc.repo import Repository
from artvc.settings import Settings
from artvc.store import packs
from tests.bench.measure import Run

CHUNKS_A_PACK = 500  # of 64 KiB in 32 MiB
EXTRA_PACKS = 600  # that come later, one by one
LOOK = """
import sys, time
began = time.perf_counter()
import json
from pathlib import Path
from artvc.repo import Repository
imported = time.perf_counter()
repo = Repository.open(Path(sys.argv[1]))
ids = [bytes.fromhex(line) for line in Path(sys.argv[2]).read_text().split()]
at = time.perf_counter()
assert repo.objects.find(ids[0]) is not None
first = time.perf_counter()
for wanted in ids:
    assert repo.objects.find(wanted) is not None
    assert repo.objects.find(wanted[::-1]) is None
done = time.perf_counter()
print(json.dumps({
    "imports": imported - began,
    "open and one look-up": first - at,
    "whole process, inside": first - began,
    "one look-up of many": (done - first) / len(ids) / 2,
    "own MB": int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) / 1000,
}))
"""
REFRESH = """
import sys
from pathlib import Path
from artvc.repo import Repository
Repository.open(Path(sys.argv[1])).objects.refresh()
"""


def fake_packs(folder: Path, count: int, seed: int) -> Iterator[tuple[Path, bytes]]:
    """Write packs that hold nothing but an index; yields each with one id of it."""
    source = random.Random(seed)
    entry = struct.Struct("<32sBIIII")
    for _ in range(count):
        ids = sorted(source.randbytes(32) for _ in range(CHUNKS_A_PACK))
        index = b"".join(entry.pack(raw, 1, 16 + number * 65536, 65536, 0, 65000) for number, raw in enumerate(ids))
        name = source.randbytes(32)
        head = struct.pack("<8sBB6x", b"ARTVCPAK", 1, packs.DATA)
        tail = struct.pack("<8sQIIQ32s", b"ARTVCIDX", len(head), len(ids), 1, xxh3_64_intdigest(index), name)
        path = folder / f"{name.hex()}.pack"
        path.write_bytes(head + index + tail)
        yield path, source.choice(ids)


def chunk_index(scratch: Path, chunks: int, rounds: int) -> dict[str, object]:
    """Seconds to open and look up in a fresh process, to take up new packs, and to make a lost merged file again."""
    root = scratch / "repository"
    root.mkdir()
    repo, _ = Repository.create(root, settings=Settings(sync=False))
    place = root / ".artvc" / "packs"
    wanted = [raw for _, raw in fake_packs(place, chunks // CHUNKS_A_PACK, 1)]
    (scratch / "ids").write_text("\n".join(raw.hex() for raw in wanted[:5000]))
    rebuild = Run([sys.executable, "-c", REFRESH, str(root)], scratch)
    look = [sys.executable, "-c", LOOK, str(root), str(scratch / "ids")]
    plain = [sys.executable, "-c", "pass"]
    found: list[dict[str, float]] = []
    empties: list[float] = []
    for _ in range(rounds * 3):
        empties.append(Run(plain, scratch).seconds)
        done = subprocess.run(look, cwd=scratch, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    inside = {key: median([one[key] for one in found]) for key in found[0]}
    repo.objects.refresh()
    times = []
    for path, _ in fake_packs(place, EXTRA_PACKS, 2):
        pack = packs.Pack.open(repo.disk, str(path))
        began = time.perf_counter()
        repo.objects.index.add(pack)
        times.append(time.perf_counter() - began)
        pack.close()
    grown = json.loads(subprocess.run(look, cwd=scratch, capture_output=True, text=True, check=True).stdout)
    repo.close()
    report = {
        "chunks": chunks,
        "packs": chunks // CHUNKS_A_PACK,
        "merged file MB": os.path.getsize(root / ".artvc" / "cache" / "packs.idx") / 1e6,
        "python -c pass, ms": median(empties) * 1000,
        "imports, ms": inside["imports"] * 1000,
        "open and one look-up, ms": inside["open and one look-up"] * 1000,
        "the same with packs outside of the merged file, ms": grown["open and one look-up"] * 1000,
        "one look-up of many, us": inside["one look-up of many"] * 1e6,
        "memory after 10,000 look-ups, MB (without the file cache)": inside["own MB"],
        "taking up a pack, with merging, mean ms": sum(times) / len(times) * 1000,
        "the longest merge, s": max(times),
        "merged file lost and made again, s": rebuild.seconds,
        "peak MB of that": rebuild.peak / 1e6,
    }
    shutil.rmtree(root / ".artvc" / "cache")
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in report.items()}
