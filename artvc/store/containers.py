"""Files that hold arrays of numbers: where each array lies, told without the libraries that wrote the file.

safetensors, torch's zip archives, npy, npz and GGUF say in their headers where arrays begin and how wide their numbers
are; a headerless dump of floats is told by a sample.  Nothing is executed: a torch archive's pickle is only scanned for
the types of its storages.  Every length is checked against a limit and against the file before it is used, and a header
that is not sound makes the file general data, never an error: how a file is cut and compressed is the writer's choice.
"""

import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from typing import Final

from artvc.model.chunking import Region

HEADER_BYTES: Final = 64 * 1024 * 1024
PICKLE_BYTES: Final = 16 * 1024 * 1024
ARRAYS: Final = 1_000_000
_SAMPLE: Final = 4096

Read = Callable[[int, int], bytes]


class _Malformed(Exception):
    """A header that is not what it seemed to be."""


def regions(read: Read, size: int) -> list[Region]:
    """The arrays of a file.

    Args:
        read: gives the bytes from an offset on, as many as asked for and fewer only at the file's end.
        size: of the file, bytes.

    Returns:
        arrays in order of their place, none empty, none overlapping; [] for general data.
    """
    head = read(0, _SAMPLE)
    try:
        found = sorted(_parsed(head, read, size), key=lambda one: one.start)
    except (_Malformed, ValueError, struct.error, RecursionError, MemoryError, OverflowError):
        return []
    end = 0
    for one in found:
        if one.size < 0 or one.start < end or one.start + one.size > size:
            return []
        end = one.start + one.size
    return [one for one in found if one.size]


def _parsed(head: bytes, read: Read, size: int) -> list[Region]:
    if head.startswith(b"PK\3\4"):
        return _zip(read, size)
    if head.startswith(b"GGUF"):
        return _gguf(read, size)
    if head.startswith(b"\x93NUMPY"):
        return [_npy(head, "", 0, size)]
    if head[8:9] == b"{" and len(head) > 8:
        return _safetensors(head, read, size)
    return _raw_floats(head, read, size)


# -- safetensors ---------------------------------------------------------------------------------------------

# https://github.com/huggingface/safetensors: 8 bytes of length, JSON, then the arrays.
_SAFETENSORS: Final = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
}


def _safetensors(head: bytes, read: Read, size: int) -> list[Region]:
    length = int.from_bytes(head[:8], "little")
    if not 2 <= length <= min(HEADER_BYTES, size - 8):
        return []
    said = json.loads(read(8, length))
    if not isinstance(said, dict) or len(said) > ARRAYS:
        raise _Malformed
    found = []
    for name, facts in said.items():
        if name == "__metadata__":
            continue
        if not isinstance(facts, dict):
            raise _Malformed
        match facts.get("data_offsets"):
            case [int() as start, int() as end] if 0 <= start <= end:
                width = _SAFETENSORS.get(str(facts.get("dtype")), 1)
                found.append(Region(name, 8 + length + start, end - start, width))
            case _:
                raise _Malformed
    return found


# -- numpy ---------------------------------------------------------------------------------------------------

# numpy.lib.format: magic, version, length of the header, a dict as Python writes it.
_DESCR: Final = re.compile(rb"'descr':\s*'[<>|=][a-zA-Z](\d+)'")


def _npy(head: bytes, name: str, start: int, end: int) -> Region:
    """The array of an npy file that lies from ``start`` to ``end``."""
    if len(head) < 12:
        raise _Malformed
    length, at = (
        (int.from_bytes(head[8:10], "little"), 10) if head[6] == 1 else (int.from_bytes(head[8:12], "little"), 12)
    )
    told = _DESCR.search(head[: at + length])
    if told is None or start + at + length > end:
        raise _Malformed
    return Region(name, start + at + length, end - start - at - length, _width(int(told[1])))


def _width(item: int) -> int:
    """The width of the numbers in items of so many bytes; a complex number is two."""
    return {2: 2, 4: 4, 8: 8, 16: 8}.get(item, 1)


# -- zip archives: torch and npz -----------------------------------------------------------------------------

# PKWARE's APPNOTE.  zipfile of the standard library reads the directory; what it may read is bounded first.
_END_OF_DIRECTORY: Final = b"PK\5\6"


class _Window(io.RawIOBase):
    """A file that is read by a function, for zipfile."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size < 0 else min(size, left)
        if wanted > HEADER_BYTES:
            raise _Malformed
        data = self._read(self._at, wanted)
        self._at += len(data)
        return data


def _zip(read: Read, size: int) -> list[Region]:
    import zipfile  # noqa: PLC0415 -- 10 ms that other files need not pay

    try:
        with zipfile.ZipFile(_Window(read, size)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as exc:
        raise _Malformed from exc
    if len(entries) > ARRAYS:
        raise _Malformed
    placed = [(one, _data_start(read, one.header_offset)) for one in entries if one.compress_size]
    widths: dict[str, int] = {}
    for one, start in placed:
        plain = one.compress_type == zipfile.ZIP_STORED
        if plain and one.filename.endswith("/data.pkl") and one.file_size <= PICKLE_BYTES:
            folder = one.filename.removesuffix("data.pkl")
            for key, width in _storages(read(start, one.file_size)):
                widths[f"{folder}data/{key}"] = width
    found = []
    for one, start in placed:
        stored = one.compress_type == zipfile.ZIP_STORED
        if stored and one.filename.endswith(".npy"):
            found.append(_npy(read(start, _SAMPLE), one.filename, start, start + one.file_size))
        else:
            width = widths.get(one.filename, 1) if stored else 1
            found.append(Region(one.filename, start, one.compress_size, width))
    return found


def _data_start(read: Read, header: int) -> int:
    """Where an entry's bytes begin: its local header has names and extras of lengths of their own."""
    local = read(header, 30)
    if len(local) < 30 or not local.startswith(b"PK\3\4"):
        raise _Malformed
    name, extra = struct.unpack_from("<HH", local, 26)
    return header + 30 + int(name) + int(extra)


_TORCH: Final = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage", "ComplexDoubleStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
}


def _storages(pickled: bytes) -> Iterator[tuple[str, int]]:
    """Key and width of the storages that a pickle of torch names, by scanning its opcodes; nothing is loaded.

    A storage is a persistent id ``("storage", class, key, location, count)``: of the values pushed since the tuple
    began, the class is the global and the key the text after it, whether written out or taken from the memo.
    """
    import pickletools  # noqa: PLC0415

    memo: dict[int, object] = {}
    pushed: list[object] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in {"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"}:
            if len(memo) > ARRAYS:
                raise _Malformed
            memo[len(memo) if name == "MEMOIZE" else int(str(argument))] = pushed[-1] if pushed else None
        elif name in {"BINGET", "LONG_BINGET", "GET"}:
            pushed.append(memo.get(int(str(argument))))
        elif name == "BINPERSID":
            texts = [one for one in pushed[-8:] if isinstance(one, str)]
            for i, one in enumerate(texts[:-1]):
                if one.startswith("torch "):
                    yield texts[i + 1], _TORCH.get(one.removeprefix("torch "), 1)
            pushed.clear()
        elif name == "TUPLE":
            continue
        elif name == "STACK_GLOBAL":
            pushed[-2:] = [" ".join(map(str, pushed[-2:]))]
        elif name == "MARK":
            pushed.append(None)
        else:
            pushed.append(str(argument) if isinstance(argument, str) else None)
        del pushed[:-64]


# -- GGUF ----------------------------------------------------------------------------------------------------

# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_GGUF_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_GGML_WIDTHS: Final = {0: 4, 1: 2, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2}  # F32 F16 I16 I32 I64 F64 BF16; others are blocks
_GGUF_DEPTH: Final = 4


class _Cursor:
    """Reads a header forwards through a buffer, within HEADER_BYTES."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._buffer = b""
        self._from = 0
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > HEADER_BYTES or self.at + size > HEADER_BYTES:
            raise _Malformed
        start = self.at - self._from
        if start + size > len(self._buffer):
            self._buffer = self._read(self.at, max(size, 1 << 20))
            self._from, start = self.at, 0
            if len(self._buffer) < size:
                raise _Malformed
        self.at += size
        return self._buffer[start : start + size]

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "surrogateescape")


def _gguf(read: Read, size: int) -> list[Region]:
    cursor = _Cursor(read)
    cursor.take(4)
    if cursor.number("I") not in (2, 3):
        raise _Malformed
    arrays, facts = cursor.number("Q"), cursor.number("Q")
    if arrays > ARRAYS or facts > ARRAYS:
        raise _Malformed
    alignment = 32
    for _ in range(facts):
        key, kind = cursor.text(), cursor.number("I")
        if key == "general.alignment" and kind == 4:
            alignment = cursor.number("I")
        else:
            _skip_gguf(cursor, kind, 0)
    named = []
    for _ in range(arrays):
        name, axes = cursor.text(), cursor.number("I")
        if axes > 8:
            raise _Malformed
        cursor.take(8 * axes)
        kind, offset = cursor.number("I"), cursor.number("Q")
        named.append((offset, name, kind))
    if not 0 < alignment <= 1 << 20:
        raise _Malformed
    start = -(-cursor.at // alignment) * alignment
    named.sort()
    ends = [offset for offset, _, _ in named[1:]] + [size - start]
    return [
        Region(name, start + offset, end - offset, _GGML_WIDTHS.get(kind, 1))
        for (offset, name, kind), end in zip(named, ends, strict=True)
    ]


def _skip_gguf(cursor: _Cursor, kind: int, depth: int) -> None:
    """Pass over a value."""
    if kind in _GGUF_SIZES:
        cursor.take(_GGUF_SIZES[kind])
    elif kind == _GGUF_STRING:
        cursor.take(cursor.number("Q"))
    elif kind == _GGUF_ARRAY and depth < _GGUF_DEPTH:
        item, count = cursor.number("I"), cursor.number("Q")
        if item in _GGUF_SIZES:
            cursor.take(_GGUF_SIZES[item] * count)
            return
        if count > HEADER_BYTES // 8:
            raise _Malformed
        for _ in range(count):
            _skip_gguf(cursor, item, depth + 1)
    else:
        raise _Malformed


# -- dumps of floats -----------------------------------------------------------------------------------------

# Of a float of ordinary size, sign aside, the top byte says little: that of a float32 or bfloat16 between 4.7e-10 and
# 1.3e5 is 0x30 to 0x47, that of a float64 between 1.2e-19 and 1e5 is 0x3c to 0x40.
_ORDINARY: Final = {4: range(0x30, 0x48), 2: range(0x30, 0x48), 8: range(0x3C, 0x41)}
_SAMPLES_AT: Final = (0, 60 * 1024, 1020 * 1024, 4092 * 1024)


def _raw_floats(head: bytes, read: Read, size: int) -> list[Region]:
    """The one array of a file that is nothing but floats, judged by up to four samples of 4 KiB at fixed places."""
    widths = _float_widths(head)
    for at in _SAMPLES_AT[1:]:
        if not widths:
            return []
        if at + _SAMPLE <= size:
            widths &= _float_widths(read(at, _SAMPLE))
    # Every other bfloat16 ends as a float32 does, and every other float32 as a float64: the narrowest is right.
    return [Region("", 0, size - size % width, width) for width in sorted(widths)[:1]]


def _float_widths(sample: bytes) -> set[int]:
    """The widths of which a sample may be floats."""
    found = set()
    for width, ordinary in _ORDINARY.items():
        top = sample[width - 1 :: width]
        low = sample[0::width]
        fitting = sum(1 for one in top if one & 0x7F in ordinary)
        # Noise below and little variety above: text, images and integers have neither or the same everywhere.
        if 10 * fitting >= 9 * len(top) and len(set(low)) >= 160 and len(set(top)) <= 64:
            found.add(width)
    return found
