"""A remote that lies: each lie is refused with one line, and nothing of it is left.

The lies start from what an honest remote sends (``honest``), of which one thing is changed.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artvc import maintenance
from artvc.errors import ArtvcError, Damaged, NotFound, RemoteError, UnsupportedFormat
from artvc.model import codec
from artvc.model.ids import Id, Kind, id_of, transaction_id
from artvc.model.objects import Entry, EntryKind
from artvc.remotes import address
from artvc.remotes.base import Known, Piece, PieceKind
from artvc.remotes.directory import DirectoryRemote
from artvc.store import packs
from artvc.store.fsio import Disk
from artvc.store.packs import META, Member, PackWriter, encode_block
from artvc.sync import fetching, sharing
from tests.faults.world import noise, weights
from tests.remotes.conformance import checked
from tests.sync.conftest import Clone

PROJECT = "uncategorized"
DATA = f"artifacts/{PROJECT}/data/"


@dataclasses.dataclass
class Sent:
    """One piece: what it is, and its bytes or whatever gives them."""

    kind: PieceKind
    number: int = 0
    id: Id | None = None
    data: bytes | Callable[[], Iterable[bytes]] = b""

    def piece(self) -> Piece:
        data = self.data() if callable(self.data) else [self.data]
        return Piece(self.kind, self.number, self.id, iter(data))


class Liar:
    """A remote that sends what it is told to."""

    url = "liar://host"
    ranged = True

    def __init__(self, sent: list[Sent], data: dict[Id, bytes] | None = None) -> None:
        self.sent = sent
        self.data = data or {}
        self.extra = b""

    def history(self, known: Known) -> Iterator[Piece]:
        for one in self.sent:
            yield one.piece()

    @contextmanager
    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        if pack not in self.data:
            raise NotFound("no such pack")
        yield iter([self.data[pack][start:end] + self.extra])

    def packs(self) -> frozenset[Id]:
        return frozenset(self.data)

    def close(self) -> None:
        pass


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Clone]:
    """An honest repository: two transactions, a version with a directory, one with a difference."""
    made = Clone(tmp_path / "source", {})
    made.commit({"a/b": b"text", "large": noise("large", 300_000), "model.safetensors": weights(1)})
    made.commit({"a/b": b"text", "model.safetensors": weights(1, moved=1e-6)}, aliases=["best"])
    yield made
    made.repo.close()


@pytest.fixture
def honest(source: Clone) -> Liar:
    remote = DirectoryRemote(source.root, Disk())
    sent = [Sent(one.kind, one.number, one.id, b"".join(one.data)) for one in remote.history(Known())]
    data = {}
    for pack in remote.packs():
        with remote.download(pack) as pieces:
            data[pack] = b"".join(pieces)
    return Liar(sent, data)


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    """Somebody with a version of their own, and a remote."""
    made = Clone(tmp_path / "victim", {})
    made.commit("mine", "mine")
    made.repo.set_config("remote.origin.url", "/liar")
    sharing.attach(made.repo, made.work)
    yield made
    made.repo.close()


@pytest.fixture
def refused(victim: Clone, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Pull from a liar, who is refused, and look that nothing changed; the message."""

    def pull(liar: Liar, *kinds: type[ArtvcError], **more: object) -> str:
        monkeypatch.setattr(address, "open_remote", lambda *args: liar)
        before = victim.state()
        with pytest.raises(kinds or (Damaged,)) as caught:
            victim.pull(**more)
        message = str(caught.value)
        assert "\n" not in message and len(message) < 400
        assert victim.state() == before
        assert before["left in tmp"] == []
        assert victim.problems() == []
        assert maintenance.fsck(victim.repo).clean
        return message

    return pull


def of(liar: Liar, kind: PieceKind, number: int = 0) -> Sent:
    return next(one for one in liar.sent if one.kind == kind and one.number == number)


def test_the_honest_one_is_believed(victim, honest, source, monkeypatch):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull(everything=True)
    for label in ("data:v0", "data:v1"):
        assert victim.files(label) == source.files(label)
    assert victim.problems() == []


# -- bytes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PieceKind.TRANSACTION, PieceKind.METADATA, PieceKind.INDEX])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_a_flipped_byte(honest, refused, kind, at):
    one = next(piece for piece in honest.sent if piece.kind == kind)
    assert isinstance(one.data, bytes)
    body = bytearray(one.data)
    body[min(int(at * len(body)), len(body) - 1)] ^= 1
    one.data = bytes(body)
    assert "liar://host sent what is not sound" in refused(honest)


@pytest.mark.parametrize("kind", [PieceKind.TRANSACTION, PieceKind.METADATA, PieceKind.INDEX])
@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_piece_that_is_cut_short(honest, refused, kind, keep):
    one = next(piece for piece in honest.sent if piece.kind == kind)
    assert isinstance(one.data, bytes)
    one.data = one.data[:keep]
    refused(honest)


@pytest.mark.parametrize("kind", list(PieceKind))
def test_a_piece_that_never_ends(honest, refused, monkeypatch, kind):
    for name in ("_PACK_BYTES", "_CHECKPOINT_BYTES", "TRANSACTION_BYTES", "END_BYTES", "_TOKEN_BYTES"):
        monkeypatch.setattr(fetching, name, 1_000_000)
    given = []

    def forever() -> Iterator[bytes]:
        while True:
            given.append(1)
            yield b"x" * 65536

    pack = Id(bytes(32))
    one = Sent(kind, 9 if kind == PieceKind.CHECKPOINT else 1, pack, forever)
    honest.sent = [one, *honest.sent]
    refused(honest)
    assert len(given) <= 17


def test_pieces_without_end(honest, refused, monkeypatch):
    monkeypatch.setattr(fetching, "_PIECES", 1000)
    honest.sent += [Sent(PieceKind.INDEX, number, Id(bytes(32))) for number in range(2)]
    refused(honest)
    honest.history = lambda known: (  # type: ignore[method-assign]
        Sent(PieceKind.GONE, 0, Id(number.to_bytes(32, "big"))).piece() for number in itertools.count()
    )
    refused(honest)


def test_more_log_than_there_can_be(honest, refused, monkeypatch):
    monkeypatch.setattr(fetching, "_LOG_BYTES", 2000)
    assert "2000 bytes of transactions" in refused(honest)


def test_a_pack_that_becomes_terabytes(victim, honest, refused, monkeypatch, tmp_path):
    monkeypatch.setattr(fetching, "_PLAIN_BYTES", 40 * 1024 * 1024)
    decoded = []
    really = packs.decode_record

    def decode(*args: object) -> object:
        found = really(*args)  # type: ignore[arg-type]
        decoded.append(len(found[1]))
        return found

    monkeypatch.setattr(packs, "decode_record", decode)
    writer = PackWriter(Disk(sync=False), str(tmp_path), META)
    for number in range(8):
        body = bytes([number]) + bytes(16 * 1024 * 1024 - 1)
        writer.append(encode_block([Member(Kind.TREE, id_of(Kind.TREE, body), len(body))], body))
    bomb = writer.seal(str(tmp_path))
    bomb.close()
    body = Path(bomb.path).read_bytes()
    assert len(body) < 100_000
    honest.sent.insert(2, Sent(PieceKind.METADATA, 0, Id.parse(bomb.name), body))
    assert "records of more than" in refused(honest)
    assert sum(decoded) < 40 * 1024 * 1024


def test_a_data_pack_in_place_of_metadata_and_the_other_way_round(honest, refused):
    pack, body = next(iter(honest.data.items()))
    honest.sent.append(Sent(PieceKind.METADATA, 0, pack, body))
    assert "no metadata pack" in refused(honest)
    honest.sent.pop()
    meta = of(honest, PieceKind.METADATA)
    assert isinstance(meta.data, bytes)
    index = meta.data[int.from_bytes(meta.data[-56:-48], "little") :]
    honest.sent.append(Sent(PieceKind.INDEX, 0, meta.id, index))
    assert "does not belong there" in refused(honest)


def test_a_pack_under_another_name(honest, refused):
    of(honest, PieceKind.METADATA).id = Id(bytes(32))
    refused(honest)


def test_a_remote_that_breaks_off(honest, refused):
    def broken() -> Iterator[bytes]:
        yield b"ARTVC"
        raise RemoteError("the connection was cut")

    of(honest, PieceKind.METADATA).data = broken
    assert refused(honest, RemoteError) == "the connection was cut"


def test_what_is_gone_was_there(honest, refused):
    honest.sent.append(Sent(PieceKind.GONE, 0, Id(bytes(32))))
    assert "never there" in refused(honest)


# -- the log ----------------------------------------------------------------------------------------------


def transaction(number: int, previous: bytes | None, changes: list[dict], **changed: object) -> bytes:
    return checked(
        {
            "edits": sorted(changes, key=lambda one: one["name"]),
            "format": 1,
            "number": number,
            "previous": transaction_id(previous.partition(b"\n")[0]).hex() if previous else None,
            "time": "2026-11-23T03:00:00.000000Z",
            "who": "Mallory <m@example.com>",
            "why": "push",
        }
        | changed
    )


def edit(name: str, new: dict | None, old: dict | None = None) -> dict:
    return {"name": name, "new": new, "old": old}


def more(liar: Liar, *edits: dict, **changed: object) -> Liar:
    """The same with one more transaction."""
    last = of(liar, PieceKind.TRANSACTION, 2)
    assert isinstance(last.data, bytes)
    liar.sent.insert(
        liar.sent.index(last) + 1,
        Sent(PieceKind.TRANSACTION, 3, None, transaction(3, last.data, list(edits), **changed)),
    )
    return liar


@pytest.mark.parametrize("what", ["skip", "start late", "twice", "order", "branch", "renumbered", "contradiction"])
def test_a_log_that_does_not_fit_together(honest, refused, what):
    first, second = (of(honest, PieceKind.TRANSACTION, number) for number in (1, 2))
    assert isinstance(first.data, bytes)
    match what:
        case "skip":
            second.number, second.data = 3, transaction(3, first.data, [])
        case "start late":
            honest.sent.remove(first)
        case "twice":
            honest.sent.insert(1, dataclasses.replace(first))
        case "order":
            at = honest.sent.index(first)
            honest.sent[at : at + 2] = [second, first]
        case "branch":
            second.data = transaction(2, transaction(1, None, []), [])
        case "renumbered":
            second.number = 3
        case "contradiction":
            ref = DATA + "v0"
            second.data = transaction(2, first.data, [edit(ref, {"version": 5}, {"version": 4})])
    refused(honest)


def test_history_that_was_rewritten(victim, honest, refused, monkeypatch):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull(everything=True)
    first, second = (of(honest, PieceKind.TRANSACTION, number) for number in (1, 2))
    assert isinstance(second.data, bytes)
    head = transaction(2, first.data, [])  # type: ignore[arg-type]
    refused(Liar([Sent(PieceKind.TRANSACTION, 3, None, transaction(3, head, []))]))
    refused(Liar([Sent(PieceKind.TRANSACTION, 2, None, head)]))
    refused(Liar([Sent(PieceKind.TRANSACTION, 1, None, first.data)]))


def test_a_version_that_is_of_other_content_than_it_was(victim, honest, refused, monkeypatch):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull(everything=True)
    state = victim.repo.state()
    old, new = dict(state.refs[DATA + "v0"]), dict(state.refs[DATA + "v1"])
    second = of(honest, PieceKind.TRANSACTION, 2)
    swapped = transaction(3, second.data, [edit(DATA + "v0", new, old)])  # type: ignore[arg-type]
    assert "data:v0 is of other content" in refused(Liar([Sent(PieceKind.TRANSACTION, 3, None, swapped)]))


@pytest.mark.parametrize("changed", [{"format": 2}, {"more": 1}, {"who": 5}, {"time": "yesterday"}, {"edits": {}}])
def test_a_transaction_of_another_form(honest, refused, changed):
    refused(more(honest, **changed))


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("artifacts/../data/v9", {"artifact": "a" * 64, "commit": "a" * 64}),
        ("artifacts/p/..", {"version": 0}),
        ("artifacts/p/data/v9", {"artifact": "../../x", "commit": "a" * 64}),
        ("artifacts/p/.artvc/latest/x", {"version": 0}),
        ("artifacts/p/data/\u202egnp.exe", {"version": 0}),
        ("config/a/b", {"url": "evil"}),
        ("hooks/post-commit/x", {"run": "rm -rf /"}),
        ("collections/p/a\x1b[31m", {"next": 0, "type": "t"}),
        ("collections/p/data/../x", {"next": 0, "type": "t"}),
        ("runs/p/..", {"commit": "a" * 64, "ended": "", "name": "", "started": ""}),
        ("runs/p/x", {"commit": "a" * 64, "ended": "", "name": "", "started": ""}),
        (f"properties/{PROJECT}/data/v0", {"id": None}),
        (DATA + "evil", {"version": "v0"}),
        (DATA + "v9", {"artifact": "a" * 64, "commit": "a" * 64}),
    ],
)
def test_names_and_values_that_nobody_may_write(honest, refused, name, new):
    refused(more(honest, edit(name, new)))


def test_a_version_without_a_number_of_its_own(victim, honest, refused, source):
    value = dict(source.repo.state().refs[DATA + "v0"])
    assert "never gave" in refused(more(honest, edit(DATA + "v7", value)))


def test_what_uploads_name_is_not_taken_over(victim, honest, monkeypatch):
    liar = more(honest, edit(f"uploads/{PROJECT}/data/x", {"parts": "nonsense", "type": 5}))
    monkeypatch.setattr(address, "open_remote", lambda *args: liar)
    victim.pull()
    assert not [ref for ref in victim.repo.state().refs if ref.startswith("uploads")]
    assert victim.problems() == []


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"head":"","number":70,"refs":{}}',
        b'{"head":"' + b"a" * 64 + b'","number":71,"refs":{}}',
        b'{"head":"' + b"a" * 64 + b'","number":70,"refs":[]}',
        b'{"head":"' + b"a" * 64 + b'","number":70,"refs":{"evil":{}}}',
        b'{"head":"' + b"a" * 64 + b'","number":70,"refs":{"artifacts/p/a/v0":5}}',
        b'{"head":"' + b"a" * 64 + b'","number":70, "refs":{}}',
        b'{"head":"'
        + b"a" * 64
        + b'","number":70,"refs":{"runs/p/x":{"commit":"'
        + b"a" * 64
        + b'","name":"\\ud800"}}}',
        b'{"head":"' + b"a" * 64 + b'","number":70,"refs":{"runs/p/x":{"a":1},"runs/p/x":{"a":2}}}',
        b'{"head":"' + b"a" * 64 + b'","number":70,"refs":{"collections/p/a":{"next":NaN,"type":"t"}}}',
        b"[" * 100_000,
    ],
)
def test_a_checkpoint_that_artvc_never_wrote(refused, body):
    raw = body + b"\n" + transaction_id(body).hex().encode() + b"\n"
    refused(Liar([Sent(PieceKind.CHECKPOINT, 70, None, raw)]))


def test_a_checkpoint_of_the_past(victim, honest, refused, monkeypatch):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull(everything=True)
    raw = checked({"head": "a" * 64, "number": 2, "refs": {}})
    assert "checkpoint 2 after transaction 2" in refused(Liar([Sent(PieceKind.CHECKPOINT, 2, None, raw)]))


# -- objects ----------------------------------------------------------------------------------------------


def meta_pack(root: Path, *objects: tuple[Kind, bytes]) -> Sent:
    """A metadata pack of some objects."""
    writer = PackWriter(Disk(sync=False), str(root), META)
    for kind, body in objects:
        writer.append(encode_block([Member(kind, id_of(kind, body), len(body))], body))
    pack = writer.seal(str(root))
    pack.close()
    return Sent(PieceKind.METADATA, 0, Id.parse(pack.name), Path(pack.path).read_bytes())


def with_tree(honest: Liar, source: Clone, tree: bytes, *others: tuple[Kind, bytes]) -> Liar:
    """The same with a version v2 that has this root."""
    version = source.version("data:v0")
    artifact = codec.encode_artifact(
        dataclasses.replace(source.repo.artifact(version.artifact_id), root=id_of(Kind.TREE, tree))
    )
    value = {"artifact": id_of(Kind.ARTIFACT, artifact).hex(), "commit": version.commit_id.hex()}
    collection = dict(source.repo.state().refs[f"collections/{PROJECT}/data"])
    more(
        honest,
        edit(DATA + "v2", value),
        edit(f"collections/{PROJECT}/data", {**collection, "next": 3}, collection),
    )
    honest.sent.append(meta_pack(source.root, (Kind.ARTIFACT, artifact), (Kind.TREE, tree), *others))
    return honest


def tree_of(source: Clone, *names: str) -> bytes:
    """A root with files of these names, all of the same content, checked by nobody."""
    chunk = next(piece.id for piece in source.slices(source.repo.entry(source.version("data:v0"), "a/b")))
    placeholders = [f"{at:02}".ljust(len(name.encode()), "x")[: len(name.encode())] for at, name in enumerate(names)]
    entries = tuple(Entry(name, EntryKind.CHUNK, False, 4, 1, chunk) for name in placeholders)
    body = codec.encode_tree(0, entries)
    for name, stand_in in zip(names, placeholders, strict=True):
        body = body.replace(stand_in.encode(), name.encode(), 1)
    return body


def test_a_tree_of_good_names_is_believed(victim, honest, source, monkeypatch):
    liar = with_tree(honest, source, tree_of(source, "README", "readme"))
    monkeypatch.setattr(address, "open_remote", lambda *args: liar)
    victim.pull()
    assert victim.files("data:v2") == {"README": b"text", "readme": b"text"}


@pytest.mark.parametrize(
    "names",
    [
        ("..",),
        ("/etc/passwd",),
        ("a/b",),
        (".artvc",),
        (".ARTVC",),
        (".git",),
        ("git~1",),
        (".g\u200cit",),
        ("a\x00b",),
        ("a\x1b[31m",),
        ("ab\u202egnp",),
        ("..\\..\\x",),
        (".artvc::$INDEX_ALLOCATION",),
        ("same", "same"),
        ("z1", "a2"),
    ],
)
def test_a_tree_that_leads_elsewhere(honest, refused, source, names):
    refused(with_tree(honest, source, tree_of(source, *names)))


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\x01\x00\xff\xff\xff\xff", b"\xff" * 1000])
def test_a_tree_that_is_none(honest, refused, source, body):
    refused(with_tree(honest, source, body))


def test_a_tree_that_is_missing(honest, refused, source):
    with_tree(honest, source, tree_of(source, "file"))
    honest.sent.pop()
    refused(honest)


@pytest.mark.parametrize("kind", [PieceKind.METADATA, PieceKind.INDEX])
def test_a_piece_that_is_missing(honest, refused, kind):
    lacking = [one for one in honest.sent if one.kind == kind]
    for one in lacking:
        at = honest.sent.index(one)
        honest.sent.remove(one)
        refused(honest)
        honest.sent.insert(at, one)


def test_what_came_before_its_name_is_looked_at_when_the_name_comes(victim, honest, source, refused, monkeypatch):
    """A tree without its children comes beside the names; later a version leads to it."""
    child = tree_of(source, "file")
    entry = Entry("sub", EntryKind.DIRECTORY, False, 4, 1, id_of(Kind.TREE, child))
    tree = codec.encode_tree(0, [entry])
    with_tree(honest, source, tree)
    later = of(honest, PieceKind.TRANSACTION, 3)
    honest.sent.remove(later)
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull(everything=True)
    assert "tree" in refused(Liar([later]))
    whole = Liar([later, meta_pack(source.root, (Kind.TREE, child))], honest.data)
    monkeypatch.setattr(address, "open_remote", lambda *args: whole)
    victim.pull()
    assert set(victim.files("data:v2")) == {"sub/file"}


# -- data -------------------------------------------------------------------------------------------------


def lies_about_data(victim: Clone, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read from a liar whose history was believed; the message."""
    monkeypatch.setattr(address, "open_remote", lambda *args: liar)
    before = victim.state()
    absent = victim.absent()
    with pytest.raises((Damaged, NotFound)) as caught:
        sharing.bring(victim.repo, victim.work, everything=True)
    assert victim.state()["left in tmp"] == []
    assert {path for path in victim.state() if "packs" not in path} == {path for path in before if "packs" not in path}
    assert victim.problems() == [] and 0 < victim.absent() <= absent
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("lie", ["flip", "short", "long", "gone", "other"])
def test_data_that_is_not_what_the_index_said(victim, honest, source, monkeypatch, lie):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull()
    data = dict(honest.data)
    for pack, body in honest.data.items():
        flipped = bytearray(body)
        for at in range(100, len(body) - 500, 1000):
            flipped[at] ^= 1
        data[pack] = {"flip": bytes(flipped), "short": body[:-600], "other": noise("x", len(body))}.get(lie, body)
    liar = Liar(honest.sent, {} if lie == "gone" else data)
    liar.extra = b"more" if lie == "long" else b""
    if lie in ("gone",):
        liar.sent = []
    lies_about_data(victim, liar, monkeypatch)
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    assert victim.files("data:v1") == source.files("data:v1")


def test_an_index_that_claims_more_than_can_be(victim, honest, monkeypatch):
    monkeypatch.setattr(address, "open_remote", lambda *args: honest)
    victim.pull()
    monkeypatch.setattr("artvc.sync.lending._LIMIT", 100)
    assert "more than 100" in lies_about_data(victim, honest, monkeypatch)


# -- a directory that somebody tampered with --------------------------------------------------------------------


def test_a_directory_of_a_newer_format(tmp_path, source, refused, monkeypatch, victim):
    path = source.root / ".artvc" / "format"
    body = path.read_bytes().replace(b'"version":1', b'"version":2').partition(b"\n")[0]
    path.write_bytes(body + b"\n" + transaction_id(body).hex().encode() + b"\n")
    refused(DirectoryRemote(source.root, Disk()), UnsupportedFormat)
    with pytest.raises(UnsupportedFormat):
        victim.push()


@pytest.mark.parametrize("place", ["packs", "refs"])
def test_a_directory_with_a_damaged_file(source, refused, victim, place):
    for path in sorted((source.root / ".artvc" / place).iterdir()):
        body = path.read_bytes()
        if place == "packs" and body[9] == packs.DATA:
            continue
        path.write_bytes(body[: len(body) // 2] + b"?" + body[len(body) // 2 + 1 :])
        refused(DirectoryRemote(source.root, Disk()), Damaged, RemoteError)
        path.write_bytes(body)


def test_a_directory_whose_configuration_is_poisoned(source, victim, monkeypatch):
    (source.root / ".artvc" / "config").write_text('[remote.evil]\nurl = "s3://evil/x"\n[core]\npager = "rm -rf /"\n')
    monkeypatch.setattr(address, "open_remote", lambda *args: DirectoryRemote(source.root, Disk()))
    before = dict(victim.repo.config)
    victim.pull(everything=True)
    victim.reopen()
    assert victim.repo.config == before
