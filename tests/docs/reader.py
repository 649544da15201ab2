"""A reader of the format, written from the pages alone: it shares no code with artvc."""

import json
import struct

import blake3
import xxhash
import zstandard

KINDS = {1: "chunk", 2: "blob", 3: "tree", 4: "artifact", 5: "commit", 6: "properties"}


def object_id(kind: str, data: bytes) -> str:
    return blake3.blake3(data, derive_key_context=f"artvc v1 {kind}").hexdigest()


def tree(data: bytes) -> list[dict]:
    version, level, count = struct.unpack_from("<BBH", data)
    assert (version, level) == (1, 0)
    at, found = 4, []
    for _ in range(count):
        mode, length, size = struct.unpack_from("<BBQ", data, at)
        at += 10
        entry = {
            "name": data[at : at + length].decode(),
            "kind": mode & 15,
            "executable": bool(mode & 16),
            "size": size,
        }
        at += length
        if entry["kind"] in (0, 1):
            entry["id"] = data[at : at + 32].hex()
            at += 32
        elif entry["kind"] == 2:
            (entry["files"],) = struct.unpack_from("<Q", data, at)
            entry["id"] = data[at + 8 : at + 40].hex()
            at += 40
        else:
            target, checksum = struct.unpack_from("<HH", data, at)
            at += 4
            entry["target"] = data[at : at + target].decode()
            entry["checksum"] = data[at + target : at + target + checksum].decode()
            at += target + checksum
        found.append(entry)
    assert at == len(data)
    return found


def blob(data: bytes) -> tuple[int, list[tuple[int, str]]]:
    version, level, count, size = struct.unpack_from("<BBHQ", data)
    assert (version, level) == (1, 0)
    assert len(data) == 12 + 40 * count
    items = [struct.unpack_from("<Q32s", data, 12 + 40 * i) for i in range(count)]
    return size, [(one, raw.hex()) for one, raw in items]


def canonical(data: bytes) -> dict:
    value = json.loads(data)
    again = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert again == data
    return value


def two_lines(data: bytes) -> dict:
    body, check, rest = data.split(b"\n")
    assert rest == b""
    assert blake3.blake3(body, derive_key_context="artvc v1 transaction").hexdigest() == check.decode()
    return canonical(body)


def pack(data: bytes) -> tuple[str, dict[str, bytes]]:
    assert data[:8] == b"ARTVCPAK"
    assert data[8] == 1
    magic, start, count, version, check, name = struct.unpack("<8sQIIQ32s", data[-64:])
    assert (magic, version) == (b"ARTVCIDX", 1)
    said, at = [data[:16]], 16
    while at < start:
        _, _, members, _, stored, _ = struct.unpack_from("<4sBxHIIQ", data, at)
        said.append(data[at : at + 24 + 37 * members])
        at += 24 + 37 * members + stored
    assert at == start
    said.append(data[start:-32])
    assert blake3.blake3(b"".join(said), derive_key_context="artvc v1 pack").digest() == name
    index, bases = data[start : start + 49 * count], data[start + 49 * count : -64]
    assert xxhash.xxh3_64_intdigest(index + bases) == check
    found, waiting = {}, {}
    for i in range(count):
        raw, kind, offset, length, inside, size = struct.unpack_from("<32sBIIII", index, 49 * i)
        plain, base = record(data[offset : offset + length])
        if base is not None:
            waiting[i] = base
            continue
        found[raw.hex()] = plain[inside : inside + size]
    for i, base in waiting.items():
        raw, kind, offset, length, inside, size = struct.unpack_from("<32sBIIII", index, 49 * i)
        found[raw.hex()], _ = record(data[offset : offset + length], found[base.hex()])
    assert [(i, base.hex()) for i, base in waiting.items()] == [
        (i, base.hex()) for i, base in struct.iter_unpack("<I32s", bases)
    ]
    for i in range(count):
        raw, kind, *_ = struct.unpack_from("<32sBIIII", index, 49 * i)
        assert object_id(KINDS[kind], found[raw.hex()]) == raw.hex()
    return name.hex(), found


def record(data: bytes, base: bytes | None = None) -> tuple[bytes, bytes | None]:
    """The plain bytes, or those of a delta whose base was not given and the base's id."""
    magic, codec, members, size, stored, check = struct.unpack_from("<4sBxHIIQ", data)
    assert magic == b"ARec"
    assert xxhash.xxh3_64_intdigest(data[:16] + bytes(8) + data[24:]) == check
    payload = data[24 + 37 * members :]
    assert len(payload) == stored
    if codec == 3:
        assert members == 1
        if base is None:
            return b"", payload[:32]
        width, numbers, tail = planes(payload[32:], size)
        plain = b""
        for i, z in enumerate(numbers):
            step = z >> 1 if z % 2 == 0 else -(z >> 1) - 1
            old = int.from_bytes(base[i * width : (i + 1) * width], "little")
            plain += ((old + step) % (1 << 8 * width)).to_bytes(width, "little")
        plain += tail
    elif codec == 2:
        width, numbers, tail = planes(payload, size)
        plain = b"".join(number.to_bytes(width, "little") for number in numbers) + tail
    else:
        plain = zstandard.ZstdDecompressor().decompress(payload) if codec == 1 else payload
    assert len(plain) == size
    return plain, None


def planes(payload: bytes, size: int) -> tuple[int, list[int], bytes]:
    width, mask = payload[0], payload[1]
    count, at = size // width, 2
    numbers = [0] * count
    for k in range(width):
        if mask >> k & 1:
            (length,) = struct.unpack_from("<I", payload, at)
            plane = zstandard.ZstdDecompressor().decompress(payload[at + 4 : at + 4 + length])
            at += 4 + length
        else:
            plane = payload[at : at + count]
            at += count
        assert len(plane) == count
        numbers = [number | byte << 8 * k for number, byte in zip(numbers, plane, strict=True)]
    assert len(payload) - at == size % width
    return width, numbers, payload[at:]
