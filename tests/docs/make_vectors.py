"""Writes the test vectors into the format pages: ``python tests/docs/make_vectors.py``.

Run it after a deliberate change of a format that was not released.  The vectors of a released format never change.
"""

import re
import struct
import sys
import tempfile
import textwrap
from pathlib import Path

from artvc.model import codec
from artvc.model.ids import Kind, id_of, transaction_id
from artvc.model.objects import (
    Artifact,
    Commit,
    Content,
    EntryKind,
    Input,
    Output,
    Properties,
    TreeSummary,
    directory_entry,
    file_entry,
    reference_entry,
    symlink_entry,
)
from artvc.store.codecs import Codec, Way
from artvc.store.fsio import Disk
from artvc.store.packs import DATA, Member, PackWriter, encode_block
from artvc.store.refs import RefEdit, RefState, _encode_transaction

DOCS = Path(__file__).parents[2] / "artvc" / "docs"
CHUNK = id_of(Kind.CHUNK, b"hello")
TIME = "2026-11-23T03:00:00.000000Z"


def pack() -> bytes:
    ones = struct.pack("<64I", *[0x3F800000] * 64) + b"!"
    twos = struct.pack("<64I", *[0x3F800000, 0x3F800001] * 32) + b"?"
    pieces = [b"hello", b"", b"a" * 1000, ones, twos]
    members = [Member(Kind.CHUNK, id_of(Kind.CHUNK, piece), len(piece)) for piece in pieces]
    with tempfile.TemporaryDirectory() as directory:
        writer = PackWriter(Disk(sync=False), directory, DATA)
        writer.append(encode_block(members[:2], b"".join(pieces[:2])))
        writer.append(encode_block(members[2:3], pieces[2]))
        writer.append(encode_block(members[3:4], ones, way=Way(Codec.PLANES, 4, 0b1111)))
        writer.append(encode_block(members[4:], twos, way=Way(Codec.DELTA, 4, 0b1111), base=(members[3].id, ones)))
        return Path(writer.seal(directory).path).read_bytes()


def vectors() -> dict[str, tuple[Kind | None, bytes]]:
    tree = codec.encode_tree(
        0,
        [
            file_entry("a.txt", Content(EntryKind.CHUNK, CHUNK, 5)),
            file_entry("big", Content(EntryKind.BLOB, CHUNK, 100_000), executable=True),
            directory_entry("dir", TreeSummary(CHUNK, 2, 10)),
            symlink_entry("link", "a.txt"),
            reference_entry("out", uri="https://example.com/x", size=7, checksum="etag:abc"),
        ],
    )
    artifact = Artifact(name="mnist-raw", type="dataset", root=id_of(Kind.TREE, tree), files=6, size=100_027)
    properties = Properties(
        description="Digits",
        metadata={"rows": 3, "scale": 0.5, "ü": None},
        tags=("clean",),
        origins={"labels": "artvc-artifact://ab/labels"},
    )
    ids = (
        id_of(Kind.ARTIFACT, codec.encode_artifact(artifact)),
        id_of(Kind.PROPERTIES, codec.encode_properties(properties)),
    )
    commit = Commit(
        run_id="0a1b2c3d",
        run_name="sunny-smoke-1",
        project="mnist",
        job_type="train",
        started=TIME,
        ended=TIME,
        inputs=(Input(project="mnist", artifact=ids[0], asked="mnist-raw:latest"),),
        outputs=(Output(artifact=ids[0], properties=ids[1]),),
        config={"lr": 1e-3},
        summary={"loss": 0.25},
        author={"name": "Ada", "email": "ada@example.com"},
        exit_code=0,
        message="train",
    )
    edit = RefEdit("artifacts/mnist/mnist-raw/latest", None, {"version": 0})
    transaction = _encode_transaction(
        RefState(), [edit], time=TIME, who="Ada <ada@example.com>", why="commit mnist-raw"
    )
    return {
        "TREE": (Kind.TREE, tree),
        "BLOB": (Kind.BLOB, codec.encode_blob(0, [codec.Part(65536, CHUNK), codec.Part(5, CHUNK)])),
        "ARTIFACT": (Kind.ARTIFACT, codec.encode_artifact(artifact)),
        "PROPERTIES": (Kind.PROPERTIES, codec.encode_properties(properties)),
        "COMMIT": (Kind.COMMIT, codec.encode_commit(commit)),
        "TRANSACTION": (None, transaction + b"\n" + transaction_id(transaction).hex().encode() + b"\n"),
        "PACK": (None, pack()),
    }


def main() -> None:
    for page in sorted(DOCS.glob("format-*.md")):
        text = page.read_text()
        for name, (kind, data) in vectors().items():
            hexed = "\n".join(textwrap.wrap(data.hex(), 96))
            shown = f"<!-- vector {name} -->\n```hex\n{hexed}\n```\n"
            if kind is not None:
                shown += f"\nIts id is `{id_of(kind, data).hex()}`.\n"
            text = text.replace(f"@@{name}@@\n", shown)
            text = re.sub(
                rf"<!-- vector {name} -->\n```hex\n.*?```\n(\nIts id is `.*?`.\n)?", lambda _: shown, text, flags=re.S
            )
        page.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
