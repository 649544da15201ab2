"""Git servers that others wrote, as remotes."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from artvc.remotes.address import Surroundings, open_remote, parse
from artvc.remotes.base import Remote
from artvc.store.fsio import Disk
from tests.remotes.conformance import Conformance, followed
from tests.remotes.git_servers import SERVERS, GitServer, Place, git
from tests.remotes.proxy import proxied
from tests.remotes.test_git_faults import Line

pytestmark = pytest.mark.slow
# The plain ones always; the others, which take their time, where somebody asks for them.
USUAL = ("daemon", "http", "ssh")
KINDS = list(SERVERS) if os.environ.get("ARTVC_TEST_GIT_SERVERS") == "all" else list(USUAL)
RACES = (
    "test_of_many_rivals_exactly_one_wins_each_number",
    "test_two_that_both_try_again_lose_nothing",
    "test_a_reader_never_sees_a_transaction_without_what_it_refers_to",
)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


def remote_at(server: GitServer, place: Place, scratch: Path) -> Remote:
    surroundings = Surroundings(disk=Disk(sync=False), scratch=scratch, environ=server.environ)
    return open_remote(parse(place.url, base=scratch), surroundings)


class TestConformance(Conformance):
    rivals = 4
    rounds = 2

    @pytest.fixture
    def excludes(self, request: pytest.FixtureRequest) -> bool:
        return "go-git" not in request.node.name

    @pytest.fixture
    def begun(self, request: pytest.FixtureRequest) -> bool:
        return "jgit" in request.node.name  # 4.11 may let two through that create the same ref at once

    @pytest.fixture
    def place(self, server: GitServer, tmp_path: Path, request: pytest.FixtureRequest):
        if "go-git" in request.node.name and request.node.originalname in RACES:
            pytest.skip("go-git moves a ref without a lock, in place: it may lose one of two, or show an empty one")
        place, scratch = server.fresh(), tmp_path / "scratch"
        scratch.mkdir()
        yield lambda: remote_at(server, place, scratch)
        git("fsck", "--full", "--strict", environ=server.environ, cwd=place.path)
        assert list(scratch.iterdir()) == []


def test_a_plain_clone_has_none_of_the_data(server, make, tmp_path):
    place = server.fresh()
    remote = remote_at(server, place, tmp_path)
    data = make.data(3_000_000)
    remote.upload(data)
    assert remote.publish(make.next(indexes=[data], metadata=[make.metadata()]))
    remote.close()
    git("clone", "--quiet", place.url, tmp_path / "copy", environ=server.environ)
    assert "size-pack: 0\n" in git("count-objects", "-v", environ=server.environ, cwd=tmp_path / "copy")


def test_code_lies_beside_the_data_and_a_clone_of_it_brings_no_data(server, make, tmp_path):
    """People push and clone their code as ever, by what travels too; neither push disturbs the other."""
    place, work, copy = server.fresh(), tmp_path / "work", tmp_path / "copy"
    port = urlsplit(place.url).port
    assert port is not None
    git("init", "--quiet", "--initial-branch=main", work, environ=server.environ)

    def push_code(text: str) -> None:
        (work / "train.py").write_text(text)
        git("add", ".", environ=server.environ, cwd=work)
        git("commit", "--quiet", "--message=code", environ=server.environ, cwd=work)
        git("push", "--quiet", place.url, "main", environ=server.environ, cwd=work)

    push_code("print(1)\n")
    remote, datas, last = remote_at(server, place, tmp_path), [make.data(1_000_000) for _ in range(3)], None
    for number, data in enumerate(datas):
        remote.upload(data)
        last = make.next(last, indexes=[data], metadata=[make.metadata(200_000)])
        assert remote.publish(last)
        push_code(f"print({number + 2})\n")
    remote.close()
    with proxied("127.0.0.1", port) as proxy:
        line = Line(server, proxy)
        git("clone", "--quiet", "--branch=main", line.url(place), copy, environ=line.environ)
        cloned = proxy.passed["down"]
        push_code("print(5)\n")
        git("pull", "--quiet", line.url(place), "main", environ=line.environ, cwd=copy)
        assert cloned < 50_000 and proxy.passed["down"] - cloned < 50_000
    assert (copy / "train.py").read_text() == "print(5)\n"
    counted = dict(one.split(": ") for one in git("count-objects", "-v", environ=server.environ, cwd=copy).splitlines())
    assert int(counted["size"]) + int(counted["size-pack"]) < 100  # KiB
    again = remote_at(server, place, tmp_path)
    assert followed(again).number == 3 and again.packs() == {data.id for data in datas}
    again.close()
    git("fsck", "--full", "--strict", environ=server.environ, cwd=place.path)


def test_a_repository_that_is_gced_is_still_read(server, make, tmp_path):
    place, chain = server.fresh(), [make.next(metadata=[make.metadata()])]
    remote = remote_at(server, place, tmp_path)
    packs = [make.data(500_000 + number) for number in range(3)]
    for pack in packs:
        remote.upload(pack)
    chain += [make.next(chain[-1], metadata=[make.metadata()], indexes=packs)]
    for one in chain:
        assert remote.publish(one)
    git("gc", "--quiet", "--prune=now", environ=server.environ, cwd=place.path)
    again = remote_at(server, place, tmp_path)
    seen = followed(again)
    assert seen.transactions == {one.number: one.transaction for one in chain} and len(seen.indexes) == 3
    for pack in packs:
        with again.download(pack.id) as pieces, pack.open() as source:
            assert b"".join(pieces) == source.read()
    assert remote.publish(make.next(chain[-1]))
    remote.close()
    again.close()
