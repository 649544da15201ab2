"""The digests that W&B would give: for comparing with it, and for moving from it.  Nothing here relies on them.

W&B names a file by the MD5 of its content in base64, and an artifact by the MD5 of a list of paths and digests.  A
line feed in a path makes that list ambiguous, and MD5 can be forged; artvc itself goes by BLAKE3 ids.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

_HEAD: Final = b"wandb-artifact-manifest-v1\n"


def of_content(pieces: Iterable[bytes]) -> str:
    """The digest of a file: base64 of the MD5 of its bytes.

    Args:
        pieces: the bytes in order.
    """
    running = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        running.update(piece)
    return base64.b64encode(running.digest()).decode()


def of_text(text: str) -> str:
    """The digest of a reference that has no checksum: that of its URI."""
    return of_content([text.encode("utf-8", "surrogateescape")])


def of_files(digests: Iterable[tuple[str, str]]) -> str:
    """The digest of an artifact, 32 hex digits.

    Args:
        digests: path and digest of each file, in any order.
    """
    running = hashlib.md5(_HEAD, usedforsecurity=False)
    for path, digest in sorted(digests):
        running.update(f"{path}:{digest}\n".encode("utf-8", "surrogateescape"))
    return running.hexdigest()
