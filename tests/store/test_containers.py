"""Arrays are found in the files that hold them, and nothing in a header is trusted."""

import io
import json
import os
import random
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.model import chunking
from artvc.store import containers
from artvc.store.containers import regions


def found(data: bytes) -> list[tuple[str, int, int, int]]:
    return [tuple(one) for one in regions(lambda offset, count: data[offset : offset + count], len(data))]


def safetensors(arrays: dict[str, tuple[str, bytes]], *, extra: bytes = b"") -> bytes:
    header, blobs = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, blob) in arrays.items():
        header[name] = {"dtype": dtype, "shape": [len(blob)], "data_offsets": [len(blobs), len(blobs) + len(blob)]}
        blobs += blob
    text = json.dumps(header).encode() + extra
    return struct.pack("<Q", len(text)) + text + blobs


def npy(blob: bytes, descr: str = "<f4", version: int = 1) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (3,), }}".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + blob


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(arrays: list[tuple[str, int, bytes]], *, alignment: int = 32, facts: bytes = b"", count: int = 0) -> bytes:
    head, blobs = b"", b""
    for name, kind, blob in arrays:
        head += gguf_text(name) + struct.pack("<IQIQ", 1, len(blob), kind, len(blobs))
        blobs += blob + bytes(-len(blob) % alignment)
    facts += gguf_text("general.alignment") + struct.pack("<II", 4, alignment)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), count + 1) + facts + head
    return head + bytes(-len(head) % alignment) + blobs


def archive(entries: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, blob in entries.items():
            made.writestr(name, blob)
    return out.getvalue()


A, B = bytes(range(200)) * 8, os.urandom(1000)


def test_safetensors():
    data = safetensors({"b": ("BF16", A), "a": ("F32", B), "none": ("F32", b""), "eight": ("F8_E4M3", b"12345")})
    at = len(data) - len(A) - len(B) - 5
    assert found(data) == [("b", at, 1600, 2), ("a", at + 1600, 1000, 4), ("eight", at + 2600, 5, 1)]


@pytest.mark.parametrize(("descr", "width"), [("<f4", 4), (">f8", 8), ("<f2", 2), ("|u1", 1), ("<c16", 8), ("<i8", 8)])
@pytest.mark.parametrize("version", [1, 2])
def test_npy(descr, width, version):
    data = npy(A, descr, version)
    assert found(data) == [("", len(data) - len(A), len(A), width)]


def test_npz():
    data = archive({"x.npy": npy(A), "y.npy": npy(B, "<f2")})
    (x, y) = found(data)
    assert (x[0], x[2:]) == ("x.npy", (len(A), 4))
    assert (y[0], y[2:]) == ("y.npy", (len(B), 2))
    assert data[x[1] : x[1] + x[2]] == A
    assert data[y[1] : y[1] + y[2]] == B


def test_a_compressed_archive_is_cut_at_its_entries():
    data = archive({"a.txt": A, "b.txt": A + B}, method=zipfile.ZIP_DEFLATED)
    assert [(name, width) for name, _, _, width in found(data)] == [("a.txt", 1), ("b.txt", 1)]


def test_gguf():
    facts = gguf_text("k") + struct.pack("<IIQ", 9, 8, 2) + gguf_text("one") + gguf_text("two")
    facts += gguf_text("n") + struct.pack("<II", 9, 4) + struct.pack("<QII", 2, 7, 8)
    data = gguf([("w", 0, A), ("q", 2, B), ("h", 30, A)], facts=facts, count=2)
    assert [(name, width) for name, _, _, width in found(data)] == [("w", 4), ("q", 1), ("h", 2)]
    for (_, start, size, _), blob in zip(found(data), [A, B, A], strict=True):
        assert data[start : start + size].startswith(blob)


@pytest.mark.torch
def test_torch_archives(tmp_path):
    torch = pytest.importorskip("torch")
    half = torch.arange(3000, dtype=torch.float32).to(torch.bfloat16)
    state = {"a": torch.arange(1000.0), "b": {"c": half, "d": torch.arange(500)}, "again": half[:10], "lr": 0.1}
    for name, saved in {"state": state, "list": [half, half.double(), torch.ones(700, dtype=torch.uint8)]}.items():
        torch.save(saved, tmp_path / name)
        data = (tmp_path / name).read_bytes()
        arrays = {start: (size, width) for label, start, size, width in found(data) if "/data/" in label}
        flat = [state["a"], half, state["b"]["d"]] if name == "state" else saved
        for tensor in flat:
            blob = tensor.contiguous().view(torch.uint8).numpy().tobytes()
            size, width = arrays[data.index(blob)]
            assert (size, width) == (len(blob), tensor.element_size())
        assert len(arrays) == len(flat)


def floats(form: str, count: int, scale: float = 0.05) -> bytes:
    draw = random.Random(0)
    return struct.pack(f"<{count}{form}", *(draw.gauss(0, scale) for _ in range(count)))


@pytest.mark.parametrize("scale", [0.005, 0.05, 1, 10])
def test_dumps_of_floats(scale):
    single, double = floats("f", 40_000, scale), floats("d", 20_000, scale)
    brain = b"".join(single[i + 2 : i + 4] for i in range(0, len(single), 4))
    assert found(single) == [("", 0, 160_000, 4)]
    assert found(double) == [("", 0, 160_000, 8)]
    assert found(brain) == [("", 0, 80_000, 2)]
    assert found(single + b"xy") == [("", 0, 160_000, 4)]


@pytest.mark.parametrize(
    "data",
    [
        os.urandom(100_000),
        b"0.125,0.5,0.25\n" * 9000,
        bytes(100_000),
        struct.pack("<25000i", *range(25_000)),
        bytes(range(256)) * 400,
        struct.pack("<50000H", *(i * 37 % 30_000 for i in range(50_000))),
        b"",
        b"x",
    ],
)
def test_what_is_no_dump_of_floats(data):
    assert found(data) == []


GOOD = [
    safetensors({"b": ("BF16", A), "a": ("F32", B)}),
    npy(A),
    archive({"x.npy": npy(A), "m/data.pkl": b"\x80\x02X\x01\0\0\0aq\0.", "m/data/0": B}),
    gguf([("w", 0, A), ("q", 2, B)]),
    floats("f", 3000),
]


@given(st.sampled_from(GOOD), st.data())
def test_headers_that_lie(good, data):
    """Whatever some changed, cut or added bytes make of a header, arrays lie in the file and apart from one another."""
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(0, 6))):
        changed[
            data.draw(st.integers(0, min(400, len(good) - 1)) | st.integers(max(0, len(good) - 200), len(good) - 1))
        ] = data.draw(st.integers(0, 255))
    file = bytes(changed)[: data.draw(st.just(len(good)) | st.integers(0, len(good)))]
    end = 0
    for _, start, size, width in found(file):
        assert start >= end
        assert size > 0
        assert width in (1, 2, 4, 8)
        end = start + size
    assert end <= len(file)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 1 << 40) + b"{}" + bytes(100),
        struct.pack("<Q", 20) + b'{"a":{"data_offsets"' + bytes(100),
        struct.pack("<Q", 50) + json.dumps({"a": {"dtype": "F32", "data_offsets": [8, 1 << 60]}}).encode() + bytes(90),
        struct.pack("<Q", 4000) + b"[" * 4000,
        struct.pack("<Q", 4000) + b'{"a":' * 800,
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 8, 1 << 62),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("a") + struct.pack("<IIQ", 9, 9, 1) * 500,
        b"PK\3\4" + bytes(100) + b"PK\5\6" + bytes(18),
        b"\x93NUMPY\1\0\xff\xff{'descr': '<f4'}",
    ],
)
def test_bombs(data):
    assert found(data) == []


def test_overlapping_arrays_are_no_arrays():
    text = json.dumps({"a": {"dtype": "F32", "data_offsets": [0, 8]}, "b": {"dtype": "F32", "data_offsets": [4, 12]}})
    assert found(struct.pack("<Q", len(text)) + text.encode() + bytes(12)) == []


def test_a_pickle_is_scanned_and_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    import pickle

    data = archive({"m/data.pkl": pickle.dumps(Trap()), "m/data/0": A})
    assert ("m/data/0", 1) in [(name, width) for name, _, _, width in found(data)]
    assert not (tmp_path / "sprung").exists()


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 900_000), st.sampled_from([1, 2, 4, 8])), max_size=5),
    st.integers(0, 600_000),
)
def test_arrays_are_cut_from_their_start(spans, rest):
    arrays, at = [], 0
    for gap, size, width in spans:
        arrays.append(chunking.Region("", at + gap, size, width))
        at += gap + size
    pieces = list(chunking.cut_arrays(arrays, at + rest))
    assert [one.end for one in pieces] == sorted({one.end for one in pieces})
    assert (pieces[-1].end if pieces else 0) == at + rest
    start = 0
    for one in pieces:
        assert one.end - start <= chunking.MAX_SIZE
        if one.array >= 0:
            array = arrays[one.array]
            assert (start, one.width) == (array.start + one.offset, array.width)
            assert one.offset % chunking.PIECE == 0
        start = one.end
    borders = {0, *(one.end for one in pieces)}
    for array in arrays:
        if array.size >= chunking.LONE:
            assert {array.start, array.start + array.size} <= borders


def test_limits_are_those_of_the_page():
    assert (containers.HEADER_BYTES, containers.PICKLE_BYTES, containers.ARRAYS) == (64 << 20, 16 << 20, 1_000_000)
