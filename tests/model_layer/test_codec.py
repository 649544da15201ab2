"""Every codec: what is encoded comes back; what is accepted encodes to the same bytes; nothing else escapes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import MalformedObject
from artvc.model import codec
from artvc.model.codec import BlobNode, TreeNode
from artvc.model.objects import JSON_DEPTH
from tests.model_layer import strategies as some

# kind: encode, decode, values
CODECS = {
    "directory": (lambda v: codec.encode_tree(0, v), lambda b: [*codec.decode_tree(b).entries], some.directories),
    "inner node": (lambda v: codec.encode_tree(2, v), lambda b: [*codec.decode_tree(b).children], some.children),
    "chunk list": (lambda v: codec.encode_blob(0, v), lambda b: [*codec.decode_blob(b).parts], some.chunk_parts),
    "artifact": (codec.encode_artifact, codec.decode_artifact, some.artifacts),
    "properties": (codec.encode_properties, codec.decode_properties, some.properties),
    "commit": (codec.encode_commit, codec.decode_commit, some.commits),
    "JSON": (codec.encode_json, codec.decode_json, some.json_objects),
}


def encoded_again(kind: str, data: bytes) -> bytes:
    """Decode and encode; MalformedObject where the bytes are refused."""
    if kind in ("directory", "inner node"):
        node: TreeNode = codec.decode_tree(data)
        return codec.encode_tree(node.level, node.entries or node.children)
    if kind == "chunk list":
        blob: BlobNode = codec.decode_blob(data)
        return codec.encode_blob(blob.level, blob.parts)
    encode, decode, _ = CODECS[kind]
    return encode(decode(data))


@pytest.mark.parametrize("kind", CODECS)
@given(data=st.data())
def test_round_trip(kind, data):
    encode, decode, values = CODECS[kind]
    value = data.draw(values)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("kind", CODECS)
@given(data=st.data())
def test_what_is_accepted_is_canonical(kind, data):
    """Bytes changed at random are refused, or are the one encoding of another value."""
    encode, _, values = CODECS[kind]
    raw = bytearray(encode(data.draw(values)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["flip", "set", "drop", "insert", "cut", "double"]))
        if how == "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "set":
            raw[at] = data.draw(st.sampled_from([*b'\x00\xff\x01/.:"0-9 eE+{}[],\\']))
        elif how == "drop":
            del raw[at : at + data.draw(st.integers(1, 8))]
        elif how == "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        elif how == "cut":
            del raw[at:]
        else:
            raw[at:at] = raw[at : at + 40]
        if not raw:
            raw = bytearray(b"\0")
    try:
        again = encoded_again(kind, bytes(raw))
    except MalformedObject:
        return
    assert again == bytes(raw)


@pytest.mark.parametrize("kind", CODECS)
@given(raw=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_in_one_way(kind, raw):
    try:
        assert encoded_again(kind, raw) == raw
    except MalformedObject:
        pass


@pytest.mark.parametrize("kind", ["artifact", "properties", "commit", "JSON"])
@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{}{}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"a":1,"a":2}', b'{"a": 1}',
        b'{"b":1,"a":2}', b'{"a":1.0e0}', b'{"a":-0}', b'{"a":"\\ud800"}', b'{"a":"\xed\xa0\x80"}', b"\xff\xfe{}",
        b'\xef\xbb\xbf{}', b'{"a":"\\u0041"}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", b'{"a":01}', b"{}\n", b"{\x00}", b'{"a":"\n"}',
    ],
)  # fmt: skip
def test_odd_json(kind, raw):
    with pytest.raises(MalformedObject):
        CODECS[kind][1](raw)


def test_depth_and_size_of_json_are_limited():
    deep: object = 1
    for _ in range(JSON_DEPTH + 2):
        deep = [deep]
    with pytest.raises(MalformedObject):
        codec.decode_json(json.dumps({"a": deep}, separators=(",", ":")).encode())
    with pytest.raises(MalformedObject, match="beyond the limit"):
        codec.decode_json(codec.encode_json({"a": "x" * 100}), limit=50)


def test_nodes_that_claim_too_much():
    tree = codec.encode_tree(0, [])
    assert codec.decode_tree(tree).entries == ()
    for bad in (b"\x02" + tree[1:], tree[:1] + b"\x08" + tree[2:], tree[:2] + b"\xff\xff", tree + b"x", tree[:-1]):
        with pytest.raises(MalformedObject):
            codec.decode_tree(bad)
    with pytest.raises(MalformedObject):
        codec.decode_blob(codec.encode_blob(0, []))
