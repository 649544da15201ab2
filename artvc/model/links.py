"""What an object refers to: the edges of the Merkle graph."""

from collections.abc import Iterator

from artvc.model import codec
from artvc.model.ids import Id, Kind
from artvc.model.objects import EntryKind

_OF_ENTRY = {EntryKind.DIRECTORY: Kind.TREE, EntryKind.BLOB: Kind.BLOB, EntryKind.CHUNK: Kind.CHUNK}


def links(kind: Kind, data: bytes) -> Iterator[tuple[Kind, Id]]:
    """The objects that an object names, in its order; an object may be named twice.

    Args:
        kind: of the object.
        data: its canonical bytes.

    Raises:
        MalformedObject: they are no such object.
    """
    if kind == Kind.TREE:
        node = codec.decode_tree(data)
        yield from ((Kind.TREE, child.id) for child in node.children)
        for entry in node.entries:
            if entry.kind in _OF_ENTRY and entry.id is not None:
                yield _OF_ENTRY[entry.kind], entry.id
    elif kind == Kind.BLOB:
        blob = codec.decode_blob(data)
        below = Kind.BLOB if blob.level else Kind.CHUNK
        yield from ((below, part.id) for part in blob.parts)
    elif kind == Kind.ARTIFACT:
        yield Kind.TREE, codec.decode_artifact(data).root
    elif kind == Kind.COMMIT:
        commit = codec.decode_commit(data)
        if commit.previous is not None:
            yield Kind.COMMIT, commit.previous
        yield from ((Kind.ARTIFACT, one.artifact) for one in commit.inputs)
        for output in commit.outputs:
            yield Kind.ARTIFACT, output.artifact
            yield Kind.PROPERTIES, output.properties
        if commit.files is not None:
            yield Kind.TREE, commit.files
    elif kind == Kind.PROPERTIES:
        codec.decode_properties(data)
