"""Values of every kind that a repository stores, for property tests."""

import string

from hypothesis import strategies as st

from artvc.errors import InvalidInput
from artvc.model import names
from artvc.model.codec import Child, Part
from artvc.model.ids import Id
from artvc.model.objects import (
    Artifact,
    Commit,
    Content,
    Entry,
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

ids = st.binary(min_size=32, max_size=32).map(Id)
sizes = st.integers(0, 1 << 40)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def _accepted(check):
    def accept(value: str) -> bool:
        try:
            check(value)
        except InvalidInput:
            return False
        return True

    return accept


# Bytes that are no UTF-8 come from os.fsdecode as lone surrogates.
raw_names = st.one_of(
    st.text(string.ascii_letters + string.digits + "._- ", min_size=1, max_size=12),
    text.filter(bool),
    st.binary(min_size=1, max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
file_names = raw_names.filter(_accepted(names.check_file_name))
artifact_names = st.from_regex(r"[a-zA-Z0-9_.][a-zA-Z0-9_.\-]{0,20}", fullmatch=True).filter(
    _accepted(names.check_artifact_name)
)
types = text.filter(_accepted(names.check_type))
tags = st.from_regex(r"[a-z0-9_\-]{1,10}( [a-z0-9]{1,5})?", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(text, json_values, max_size=5)
times = st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z", fullmatch=True)

contents = st.one_of(
    st.builds(Content, st.just(EntryKind.CHUNK), ids, st.integers(0, 16 * 1024 * 1024)),
    st.builds(Content, st.just(EntryKind.BLOB), ids, sizes),
)
entries = st.one_of(
    st.builds(
        lambda name, content, run: file_entry(name, content, executable=run), file_names, contents, st.booleans()
    ),
    st.builds(directory_entry, file_names, st.builds(TreeSummary, ids, sizes, sizes)),
    st.builds(symlink_entry, file_names, text.filter(lambda t: t and t[0] != "/" and "\0" not in t)),
    st.builds(
        lambda name, uri, size, checksum: reference_entry(name, uri="s3://" + uri, size=size, checksum=checksum),
        file_names,
        text,
        sizes,
        text,
    ),
)


def _by_name(items: list[Entry]) -> list[Entry]:
    return sorted(
        {entry.name: entry for entry in items}.values(), key=lambda e: e.name.encode("utf-8", "surrogateescape")
    )


directories = st.lists(entries, max_size=12).map(_by_name)
children = st.lists(st.builds(Child, file_names, sizes, sizes, ids), min_size=1, max_size=8).map(
    lambda found: sorted({c.last: c for c in found}.values(), key=lambda c: c.last.encode("utf-8", "surrogateescape"))
)
chunk_parts = st.lists(st.builds(Part, st.integers(1, 16 * 1024 * 1024), ids), min_size=1, max_size=12)

artifacts = st.builds(Artifact, name=artifact_names, type=types, root=ids, files=sizes, size=sizes)
properties = st.builds(
    Properties,
    description=text,
    metadata=json_objects,
    tags=st.lists(tags, max_size=4).map(lambda found: tuple(sorted(set(found)))),
    ttl=st.none() | st.integers(0, 10**9),
    origins=st.dictionaries(file_names.filter(str.isascii), st.just("artvc-artifact://ab/c"), max_size=3),
)
commits = st.builds(
    Commit,
    run_id=st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]{0,20}", fullmatch=True),
    run_name=text,
    project=artifact_names,
    job_type=text,
    group=text,
    notes=text,
    tags=st.lists(text, max_size=3).map(lambda found: tuple(sorted(found))),
    previous=st.none() | ids,
    inputs=st.lists(st.builds(Input, project=artifact_names, artifact=ids, asked=text), max_size=3).map(tuple),
    outputs=st.lists(st.builds(Output, artifact=ids, properties=ids), max_size=3).map(tuple),
    config=json_objects,
    summary=json_objects,
    files=st.none() | ids,
    code=json_objects,
    environment=json_objects,
    author=json_objects,
    started=times,
    ended=times,
    state=st.sampled_from(["running", "finished", "failed", "crashed", "killed"]),
    exit_code=st.none() | st.integers(-255, 255),
    message=text,
)
