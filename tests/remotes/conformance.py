"""What every remote must do, whatever it is made of.

A kind of remote passes by a class that inherits :class:`Conformance` and has a fixture ``place``: a callable that gives a
new client of one and the same empty place each time.
"""

import contextlib
import io
import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artvc.errors import ArtvcError, NotFound
from artvc.model import codec
from artvc.model.ids import Id, Kind, raw_id, transaction_id
from artvc.remotes.base import Known, Piece, PieceKind, Publication, Remote, Upload
from artvc.store.codecs import PLAIN
from artvc.store.fsio import Disk
from artvc.store.packs import DATA, META, Member, Pack, PackWriter, encode_block

Place = Callable[[], Remote]
LIMIT = 64 * 1024 * 1024
ORDER = [PieceKind.CHECKPOINT, PieceKind.TRANSACTION, PieceKind.METADATA, PieceKind.INDEX, PieceKind.TOKEN]


class Maker:
    """Makes packs and transactions.

    Args:
        root: a directory of its own.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.disk = Disk(sync=False)
        self._seeds = itertools.count()

    def data(self, size: int = 10_000, *, seed: int | None = None) -> Upload:
        """A data pack of one chunk of noise."""
        return self._pack(DATA, Kind.CHUNK, size, seed)

    def metadata(self, size: int = 300, *, seed: int | None = None) -> Upload:
        """A metadata pack of one object (what is in it, no remote looks at)."""
        return self._pack(META, Kind.TREE, size, seed)

    def _pack(self, content: int, kind: Kind, size: int, seed: int | None) -> Upload:
        body = random.Random(next(self._seeds) if seed is None else f"seed {seed}").randbytes(size)
        writer = PackWriter(self.disk, str(self.root), content)
        writer.append(encode_block([Member(kind, raw_id(kind, body), size)], body, way=PLAIN))
        sealed = writer.seal(str(self.root))
        start = sealed.index_start()
        sealed.close()
        return upload_of(Path(sealed.path), start)

    def next(
        self,
        before: Publication | None = None,
        *,
        why: str = "",
        metadata: Iterable[Upload] = (),
        indexes: Iterable[Upload] = (),
        checkpoint: bool = False,
    ) -> Publication:
        """A publication that follows another; ``why`` tells it from its rivals."""
        number = before.number + 1 if before else 1
        previous = transaction_id(before.transaction.partition(b"\n")[0]) if before else None
        transaction = checked(
            {
                "edits": [{"name": f"collections/p/a{number}", "new": {"next": 0, "type": "t"}, "old": None}],
                "format": 1,
                "number": number,
                "previous": previous.hex() if previous else None,
                "time": "2026-11-23T03:00:00.000000Z",
                "who": "Ada <ada@example.com>",
                "why": why or f"number {number}",
            }
        )
        refs = {f"collections/p/a{one}": {"next": 0, "type": "t"} for one in range(1, number + 1)}
        head = transaction_id(transaction.partition(b"\n")[0]).hex()
        return Publication(
            number=number,
            transaction=transaction,
            previous=previous,
            metadata=tuple(metadata),
            indexes=tuple(indexes),
            checkpoint=checked({"head": head, "number": number, "refs": refs}) if checkpoint else None,
        )


def checked(value: dict) -> bytes:
    """The two lines of a file of the ref log."""
    body = codec.encode_json(value)
    return body + b"\n" + transaction_id(body).hex().encode() + b"\n"


def upload_of(path: Path, start: int | None = None) -> Upload:
    """A pack file, ready to be sent."""
    if start is None:
        pack = Pack.open(Disk(), str(path))
        start = pack.index_start()
        pack.close()
    body = path.read_bytes()
    return Upload(id=Id.parse(path.stem), size=len(body), open=lambda: path.open("rb"), index=body[start:])


def bytes_of(pack: Upload) -> bytes:
    with pack.open() as source:
        return source.read()


def broken(pack: Upload, after: int) -> Upload:
    """The same pack from a disk that fails after so many bytes."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= after:
                raise ConnectionAbortedError("unplugged")
            return super().read(min(size if size and size > 0 else after, after - self.tell()))

        def readinto(self, buffer) -> int:
            piece = self.read(len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)

    return Upload(id=pack.id, size=pack.size, open=lambda: Failing(bytes_of(pack)), index=pack.index)


def read(remote: Remote, pack: Upload | Id, start: int = 0, end: int | None = None) -> bytes:
    with remote.download(pack.id if isinstance(pack, Upload) else pack, start=start, end=end) as pieces:
        return b"".join(pieces)


class Reader:
    """Follows a remote's history as a clone does."""

    def __init__(self) -> None:
        self.transactions: dict[int, bytes] = {}
        self.checkpoints: dict[int, bytes] = {}
        self.metadata: dict[Id, bytes] = {}
        self.indexes: dict[Id, bytes] = {}
        self.number = 0
        self.token = b""

    def known(self) -> Known:
        return Known(
            number=self.number,
            metadata=frozenset(self.metadata),
            indexes=frozenset(self.indexes),
            token=self.token,
        )

    def follow(self, remote: Remote) -> list[tuple[PieceKind, int, Id | None]]:
        """Take in what is new; the pieces' heads."""
        heads = []
        for piece in remote.history(self.known()):
            self._take(piece)
            heads.append((piece.kind, piece.number, piece.id))
        ranks = [ORDER.index(kind) for kind, _, _ in heads]
        assert ranks == sorted(ranks)
        assert ranks.count(0) <= 1 and ranks.count(4) <= 1
        return heads

    def _take(self, piece: Piece) -> None:
        body = b"".join(piece.data)
        assert len(body) <= LIMIT
        match piece.kind:
            case PieceKind.CHECKPOINT:
                assert piece.id is None and piece.number > self.number
                self.checkpoints[piece.number] = body
                self.number = piece.number
            case PieceKind.TRANSACTION:
                assert piece.id is None and piece.number == self.number + 1
                self.transactions[piece.number] = body
                self.number = piece.number
            case PieceKind.METADATA:
                assert piece.id is not None and piece.id not in self.metadata
                self.metadata[piece.id] = body
            case PieceKind.INDEX:
                assert piece.id is not None and piece.id not in self.indexes
                self.indexes[piece.id] = body
            case PieceKind.TOKEN:
                self.token = body


def followed(remote: Remote) -> Reader:
    reader = Reader()
    reader.follow(remote)
    return reader


def publish_all(remote: Remote, publications: Iterable[Publication]) -> None:
    for one in publications:
        assert remote.publish(one) is True


def together(count: int, work: Callable[[int], object]) -> list:
    """What so many threads return that start at the same moment."""
    start = threading.Barrier(count)

    def run(number: int) -> object:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class Conformance:
    """The suite.  ``place`` gives clients of one empty place."""

    rivals = 16
    rounds = 5

    @pytest.fixture
    def excludes(self) -> bool:
        """Whether of two who publish at once only one can succeed; where not, a probe has to say so."""
        return True

    @pytest.fixture
    def begun(self) -> bool:
        """Whether there has to be a log before several publish at once."""
        return False

    @pytest.fixture
    def remote(self, place: Place) -> Iterator[Remote]:
        made = place()
        yield made
        made.close()

    # -- nothing there ------------------------------------------------------------------------------------

    def test_an_empty_remote_has_nothing(self, remote):
        assert list(remote.history(Known())) == []
        assert remote.packs() == frozenset()

    def test_a_probe_leaves_nothing_behind(self, remote, make, excludes):
        found = remote.probe()
        assert found.many_writers is excludes and found.writable
        assert len(found.warnings) == (not excludes) and all("lose" in one for one in found.warnings)
        assert list(remote.history(Known())) == []
        assert remote.packs() == frozenset()
        publish_all(remote, [make.next()])
        assert remote.probe() == found
        assert followed(remote).transactions == {1: make.next().transaction}

    def test_a_pack_that_is_not_there_is_not_found(self, remote, make):
        one, other = make.data(), make.data()
        with pytest.raises(NotFound):
            read(remote, one)
        remote.upload(one)
        with pytest.raises(NotFound):
            read(remote, other)
        with pytest.raises(NotFound):
            read(remote, other, 5, 10)

    def test_a_place_says_where_it_is(self, remote):
        assert remote.url and remote.url.isprintable()
        assert isinstance(remote.ranged, bool)

    # -- data packs ---------------------------------------------------------------------------------------

    def test_what_was_uploaded_comes_back(self, place, make):
        packs = [make.data(size) for size in (0, 1, 100, 70_000, 3_000_000)]
        writer, reader = place(), place()
        for count, pack in enumerate(packs, 1):
            writer.upload(pack)
            assert reader.packs() == {one.id for one in packs[:count]}
        for pack in packs:
            assert read(reader, pack) == bytes_of(pack)
        writer.close()
        reader.close()

    def test_any_range_of_a_pack(self, remote, make):
        pack = make.data(2_500_000)
        body = bytes_of(pack)
        remote.upload(pack)
        ends = [0, 1, 16, 999_999, 1024 * 1024, pack.size - 1, pack.size]
        for start, end in itertools.combinations(ends, 2):
            assert read(remote, pack, start, end) == body[start:end]
        for start in ends[:-1]:
            assert read(remote, pack, start) == body[start:]

    def test_a_download_may_be_left_half_way(self, remote, make):
        pack = make.data(3_000_000)
        remote.upload(pack)
        with remote.download(pack.id) as pieces:
            assert bytes_of(pack).startswith(next(pieces))
        with pytest.raises(ZeroDivisionError), remote.download(pack.id):
            _ = 1 / 0
        assert read(remote, pack) == bytes_of(pack)

    def test_uploading_again_changes_nothing(self, place, make):
        pack = make.data()
        one, other = place(), place()
        one.upload(pack)
        one.upload(pack)
        other.upload(pack)
        assert other.packs() == {pack.id}
        assert read(one, pack) == bytes_of(pack)
        one.close()
        other.close()

    def test_many_threads_share_a_client(self, remote, make):
        packs = [make.data(200_000 + one) for one in range(6)]

        def work(number: int) -> bool:
            remote.upload(packs[number])
            remote.upload(packs[0])
            return packs[number].id in remote.packs() and read(remote, packs[number]) == bytes_of(packs[number])

        assert all(together(len(packs), work))
        assert remote.packs() == {pack.id for pack in packs}

    @pytest.mark.parametrize("after", [0, 1, 1_000_000, 2_999_999])
    def test_an_upload_cut_short_is_no_pack_and_goes_through_when_repeated(self, place, make, after):
        pack = make.data(3_000_000)
        cut = place()
        with pytest.raises((ArtvcError, OSError)):
            cut.upload(broken(pack, after))
        cut.close()
        remote = place()
        assert pack.id not in remote.packs()
        with pytest.raises(NotFound):
            read(remote, pack)
        remote.upload(pack)
        assert read(remote, pack) == bytes_of(pack)
        remote.close()

    def test_a_pack_of_another_length_than_said_is_refused(self, remote, make):
        pack = make.data()
        for size in (pack.size - 1, pack.size + 1):
            with pytest.raises(ArtvcError):
                remote.upload(Upload(id=pack.id, size=size, open=pack.open, index=pack.index))
        assert remote.packs() == frozenset()

    # -- the log ------------------------------------------------------------------------------------------

    def test_a_publication_is_seen_by_others_with_all_that_it_refers_to(self, place, make):
        data, trees = [make.data(), make.data()], [make.metadata(), make.metadata(2_000_000)]
        writer, reader = place(), place()
        for pack in data:
            writer.upload(pack)
        first = make.next(metadata=trees, indexes=data)
        assert writer.publish(first) is True
        seen = followed(reader)
        assert seen.transactions == {1: first.transaction}
        assert seen.metadata == {pack.id: bytes_of(pack) for pack in trees}
        assert seen.indexes == {pack.id: pack.index for pack in data}
        assert reader.packs() == {pack.id for pack in data}
        writer.close()
        reader.close()

    def test_a_reader_gets_only_what_it_lacks(self, place, make):
        writer, reader, seen = place(), place(), Reader()
        last = None
        for _ in range(4):
            data, tree = make.data(), make.metadata()
            writer.upload(data)
            last = make.next(last, metadata=[tree], indexes=[data])
            assert writer.publish(last)
            heads = [head for head in seen.follow(reader) if head[0] is not PieceKind.TOKEN]
            assert heads == [
                (PieceKind.TRANSACTION, last.number, None),
                (PieceKind.METADATA, 0, tree.id),
                (PieceKind.INDEX, 0, data.id),
            ]
            assert [head for head in seen.follow(reader) if head[0] is not PieceKind.TOKEN] == []
        fresh = followed(reader)
        assert (fresh.transactions, fresh.metadata, fresh.indexes) == (seen.transactions, seen.metadata, seen.indexes)
        writer.close()
        reader.close()

    def test_a_reader_without_its_token_still_gets_everything(self, remote, make):
        tree = make.metadata()
        first = make.next(metadata=[tree])
        second = make.next(first)
        publish_all(remote, [first, second])
        seen = {piece.number: b"".join(piece.data) for piece in remote.history(Known(number=1)) if piece.number}
        assert seen == {2: second.transaction}

    def test_a_writer_that_is_its_own_reader(self, remote, make):
        """Publications count in what the same client reads next, and so do those of others in between."""
        seen, first = Reader(), make.next()
        publish_all(remote, [first])
        seen.follow(remote)
        second = make.next(first, metadata=[make.metadata()])
        publish_all(remote, [second, make.next(second)])
        seen.follow(remote)
        assert sorted(seen.transactions) == [1, 2, 3]

    def test_an_uploaded_pack_counts_before_it_is_published(self, remote, make):
        pack = make.data()
        remote.upload(pack)
        assert remote.packs() == {pack.id}
        assert followed(remote).number == 0

    def test_metadata_is_no_data_pack(self, remote, make):
        tree = make.metadata()
        publish_all(remote, [make.next(metadata=[tree])])
        assert remote.packs() == frozenset()

    def test_the_same_metadata_may_be_published_again(self, remote, make):
        tree, data = make.metadata(), make.data()
        remote.upload(data)
        first = make.next(metadata=[tree], indexes=[data])
        second = make.next(first, metadata=[tree, make.metadata()], indexes=[data])
        publish_all(remote, [first, second])
        seen = followed(remote)
        assert len(seen.metadata) == 2 and seen.indexes == {data.id: data.index}

    @pytest.mark.parametrize("there", [0, 1, 3])
    def test_a_number_that_is_not_the_next_is_refused(self, remote, make, there):
        chain = [make.next()]
        for _ in range(6):
            chain.append(make.next(chain[-1]))
        publish_all(remote, chain[:there])
        before = followed(remote)
        for wrong in [make.next(one, why="wrong") for one in [None, *chain] if (one.number if one else 0) != there]:
            assert remote.publish(wrong) is False
        assert followed(remote).transactions == before.transactions
        publish_all(remote, chain[there : there + 1])

    def test_a_transaction_that_follows_another_past_is_refused(self, remote, make):
        first = make.next()
        publish_all(remote, [first])
        stranger = make.next(make.next(why="another first"))
        assert remote.publish(stranger) is False
        assert followed(remote).transactions == {1: first.transaction}

    def test_what_was_refused_can_be_published_under_the_next_number(self, place, make):
        one, other = place(), place()
        tree = make.metadata()
        first = make.next(why="one")
        assert one.publish(first)
        assert other.publish(make.next(why="other", metadata=[tree])) is False
        again = make.next(first, why="other", metadata=[tree])
        assert other.publish(again)
        seen = followed(one)
        assert seen.transactions == {1: first.transaction, 2: again.transaction}
        assert tree.id in seen.metadata
        one.close()
        other.close()

    def test_a_publication_that_is_there_already_is_no_failure(self, place, make):
        """Its reply was lost, and somebody repeats it rather than reading back."""
        one, other = place(), place()
        first = make.next(metadata=[make.metadata()])
        assert one.publish(first)
        assert other.publish(first)
        assert followed(one).transactions == {1: first.transaction}
        one.close()
        other.close()

    def test_a_publication_cut_short_does_not_count_and_goes_through_when_repeated(self, place, make):
        data, tree = make.data(), make.metadata(2_000_000)
        cut = place()
        cut.upload(data)
        with pytest.raises((ArtvcError, OSError)):
            cut.publish(make.next(metadata=[make.metadata(), broken(tree, 1_000_000)], indexes=[data]))
        cut.close()
        remote = place()
        assert followed(remote).number == 0
        publish_all(remote, [make.next(metadata=[tree], indexes=[data])])
        assert followed(remote).metadata[tree.id] == bytes_of(tree)
        remote.close()

    def test_a_remote_that_lost_its_past_is_not_taken_for_an_unchanged_one(self, remote, make):
        with pytest.raises(ArtvcError):
            list(remote.history(Known(number=3)))
        publish_all(remote, [make.next()])
        with pytest.raises(ArtvcError):
            list(remote.history(Known(number=3)))

    def test_a_long_log_comes_whole(self, place, make):
        """With a checkpoint in place of its beginning where the remote has one, and for who is near without it."""
        chain, writer = [], place()
        for number in range(1, 71):
            chain.append(make.next(chain[-1] if chain else None, checkpoint=number == 66))
        publish_all(writer, chain)
        writer.close()
        remote = place()
        seen = followed(remote)
        assert seen.number == 70
        start = max(seen.checkpoints, default=0)
        assert all(chain[number - 1].checkpoint == body for number, body in seen.checkpoints.items())
        expected = {one.number: one.transaction for one in chain[start:]}
        assert seen.transactions == expected
        near = Reader()
        near.number, near.token = 60, b""
        near.follow(remote)
        assert sorted(near.transactions) == list(range(61, 71))
        remote.close()

    # -- many at once -------------------------------------------------------------------------------------

    def test_of_many_rivals_exactly_one_wins_each_number(self, place, make, begun):
        clients = [place() for _ in range(self.rivals)]
        chain: list[Publication] = [make.next()] if begun else []
        publish_all(clients[0], chain)
        for turn in range(self.rounds):
            last = chain[-1] if chain else None
            rivals = [make.next(last, why=f"turn {turn} of {one}") for one in range(self.rivals)]
            won = together(self.rivals, lambda one, rivals=rivals: clients[one].publish(rivals[one]))
            assert won.count(True) == 1 and won.count(False) == self.rivals - 1
            chain.append(rivals[won.index(True)])
        for client in (clients[0], clients[-1]):
            assert followed(client).transactions == {one.number: one.transaction for one in chain}
        for client in clients:
            client.close()

    def test_two_that_both_try_again_lose_nothing(self, place, make, begun):
        each = 6
        before = [make.next()] if begun else []
        with contextlib.closing(place()) as first:
            publish_all(first, before)

        def work(number: int) -> list[str]:
            client, done = place(), []
            seen, last = Reader(), None
            while len(done) < each:
                seen.follow(client)
                bodies = seen.transactions
                last = None
                if bodies:
                    last = Publication(number=seen.number, transaction=bodies[seen.number], previous=None)
                why = f"{number} {len(done)}"
                if client.publish(make.next(last, why=why, metadata=[make.metadata(seed=number * 100 + len(done))])):
                    done.append(why)
            client.close()
            return done

        acknowledged = set().union(*together(2, work))
        reader = place()
        seen = followed(reader)
        found = {codec.decode_json(body.partition(b"\n")[0])["why"] for body in seen.transactions.values()}
        assert found - {"number 1"} == acknowledged and len(found) == 2 * each + len(before)
        assert len(seen.metadata) == 2 * each
        reader.close()

    def test_a_reader_never_sees_a_transaction_without_what_it_refers_to(self, place, make):
        trees = [make.metadata() for _ in range(12)]
        datas = [make.data(500) for _ in range(12)]
        stop = threading.Event()

        def write(_: int) -> None:
            client, last = place(), None
            try:
                for tree, data in zip(trees, datas, strict=True):
                    client.upload(data)
                    last = make.next(last, metadata=[tree], indexes=[data])
                    assert client.publish(last)
            finally:
                stop.set()
                client.close()

        def watch(_: int) -> int:
            client, step, looks = place(), Reader(), 0
            while not stop.is_set() or not looks:
                looks += 1
                step.follow(client)
                for seen in (step, followed(client)):
                    for number in range(1, seen.number + 1):
                        assert trees[number - 1].id in seen.metadata
                        assert datas[number - 1].id in seen.indexes
            assert datas[step.number - 1].id in client.packs() or not step.number
            client.close()
            return looks

        together(2, lambda one: (write, watch)[one](one))
        reader = place()
        assert followed(reader).number == len(trees)
        reader.close()

    def test_close_may_be_called_twice(self, place):
        remote = place()
        remote.packs()
        remote.close()
        remote.close()
