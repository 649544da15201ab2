"""Ids: BLAKE3-256 of an object's canonical bytes, separated by kind.

Each kind hashes under a key-derivation context of its own, so the id of a chunk can never be passed off as the
id of a tree, whatever the bytes are.  The contexts are part of the released format.
"""

import enum
import string
from typing import ClassVar, Final, Self

from blake3 import blake3

from artvc.errors import InvalidInput

ID_SIZE: Final = 32
ID_PREFIX: Final = "b3:"
SHORT: Final = 12


class Kind(enum.IntEnum):
    """What an object is; the number stands in packs, the name in hash contexts."""

    CHUNK = 1
    BLOB = 2
    TREE = 3
    ARTIFACT = 4
    COMMIT = 5
    PROPERTIES = 6

    @property
    def word(self) -> str:
        """The kind in lower case, as messages and JSON show it."""
        return self.name.lower()


CONTEXTS: Final[dict[Kind, str]] = {kind: f"artvc v1 {kind.name.lower()}" for kind in Kind}
PACK_CONTEXT: Final = "artvc v1 pack"
TRANSACTION_CONTEXT: Final = "artvc v1 transaction"

_HEX: Final = frozenset(string.hexdigits.lower())


class Id(bytes):
    """32 bytes that name an object; compares and hashes as bytes."""

    __slots__ = ()
    size: ClassVar[int] = ID_SIZE

    def __new__(cls, raw: bytes) -> Self:
        """Wrap 32 raw bytes.  Raises InvalidInput for any other length."""
        if len(raw) != ID_SIZE:
            msg = f"an id has {ID_SIZE} bytes, not {len(raw)}"
            raise InvalidInput(msg)
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 64 lower-case hex digits, with or without ``b3:``.  Raises InvalidInput."""
        digits = text.removeprefix(ID_PREFIX)
        if len(digits) != 2 * ID_SIZE or not _HEX.issuperset(digits):
            msg = f"not an id (64 lower-case hex digits): {text[:80]!r}"
            raise InvalidInput(msg)
        return cls(bytes.fromhex(digits))

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self.hex()[:SHORT]

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Id({self.hex()[:SHORT]})"


def raw_id(kind: Kind, data: bytes | bytearray | memoryview) -> bytes:
    """The id of an object as plain bytes: BLAKE3 in key-derivation mode with the kind's context."""
    return blake3(data, derive_key_context=CONTEXTS[kind]).digest()


def id_of(kind: Kind, data: bytes | bytearray | memoryview) -> Id:
    """The id of an object of that kind with those canonical bytes."""
    return Id(blake3(data, derive_key_context=CONTEXTS[kind]).digest())


def transaction_id(body: bytes) -> Id:
    """The id of a ref transaction: BLAKE3 of its canonical body."""
    return Id(blake3(body, derive_key_context=TRANSACTION_CONTEXT).digest())
