"""The plainest store of content-defined chunks: ``python -m tests.bench.cdc DATA STORE`` appends what STORE has not.

Cut by FastCDC 2020 at 64 KiB on average (a quarter at least, four times at most), told apart by BLAKE3, each by itself
under zstd 3: what a store gets from cutting alone.
"""

import sys
from pathlib import Path

import zstandard
from blake3 import blake3
from pyfastcdc import FastCDC


def main() -> None:
    data, store = map(Path, sys.argv[1:])
    names = store.with_suffix(".ids")
    known = set()
    if names.exists():
        raw = names.read_bytes()
        known = {raw[at : at + 32] for at in range(0, len(raw), 32)}
    cutter = FastCDC(65536, min_size=16384, max_size=262144, normalized_chunking=2)
    pack = zstandard.ZstdCompressor(level=3)
    with store.open("ab") as chunks, names.open("ab") as ids:
        for path in sorted(one for one in data.rglob("*") if one.is_file()):
            for chunk in cutter.cut_buf(path.read_bytes()):
                raw = blake3(chunk.data).digest()
                if raw not in known:
                    known.add(raw)
                    ids.write(raw)
                    chunks.write(pack.compress(chunk.data))


if __name__ == "__main__":
    main()
