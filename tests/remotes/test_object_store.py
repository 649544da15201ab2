"""Buckets that fail, lie and dawdle, and what is taken from the environment."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from artvc.errors import Damaged, InvalidInput, NotFound, RemoteDenied, RemoteError, UnsupportedFormat
from artvc.remotes.base import Known, PieceKind
from artvc.repo import format_file
from tests.remotes.bucket_server import Answer, Asked, Fault, error, listing, serving
from tests.remotes.conformance import bytes_of, checked, followed, publish_all, read
from tests.remotes.test_bucket import QUICK, remote_in

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")

from artvc.remotes.object_store import Access, ObjectStore, Patience

PASSING = {
    "500": error(500, "InternalError"),
    "503": error(503, "SlowDown"),
    "429": error(429, "TooManyRequests", **{"Retry-After": "1"}),
    "cut": Answer(cut=True),
    "lost": Answer(cut=True, after=True),
    "500 and yet done": Answer(500, after=True),
}


@pytest.fixture
def server():
    with serving() as running:
        yield running


def store_of(server, patience: Patience = QUICK, bucket: str = "bucket") -> ObjectStore:
    return ObjectStore("s3", bucket, Access.from_environment("s3", server.environment()), patience)


def first(count: int, answer: Answer, method: str = "", part: str = "") -> Fault:
    """A fault of the first so many requests of a method."""
    left = itertools.repeat(answer, count)

    def fault(asked: Asked) -> Answer | None:
        return next(left, None) if asked.method.startswith(method) and part in asked.key else None

    return fault


def push(remote, make) -> tuple:
    data, tree = make.data(seed=1), make.metadata(seed=2)
    remote.upload(data)
    publication = make.next(metadata=[tree], indexes=[data])
    publish_all(remote, [publication])
    return data, tree, publication


# -- failures that pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", PASSING)
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "LIST"])
def test_a_failure_that_passes_is_not_seen(server, make, what, method):
    remote = remote_in(server)
    for part in ("", "refs", "packs", "meta", "index", "format"):
        server.objects.clear()
        server.fault = first(2, PASSING[what], method, part)
        remote = remote_in(server)
        data, tree, publication = push(remote, make)
        seen = followed(remote)
        assert seen.transactions == {1: publication.transaction} and tree.id in seen.metadata
        assert remote.packs() == {data.id} and read(remote, data) == bytes_of(data)
        remote.close()


@pytest.mark.parametrize("what", ["500", "503", "429", "cut"])
def test_a_failure_that_stays_is_said_after_some_tries(server, make, what):
    remote = remote_in(server)
    server.fault = lambda asked: PASSING[what]
    with pytest.raises(RemoteError) as caught:
        remote.upload(make.data())
    assert len(server.asked) == QUICK.tries
    assert "status" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
    assert what == "cut" or what in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (error(403, "AccessDenied"), RemoteDenied),
        (error(403, "SignatureDoesNotMatch"), RemoteDenied),
        (error(403, "RequestTimeTooSkewed"), RemoteDenied),
        (error(400, "ExpiredToken"), RemoteDenied),
        (error(401, "Unauthorized"), RemoteDenied),
        (error(400, "InvalidRequest"), RemoteError),
        (error(301, "PermanentRedirect"), RemoteError),
        (error(404, "NoSuchBucket"), NotFound),
    ],
    ids=lambda one: one.body.decode()[43:60] if isinstance(one, Answer) else one.__name__,
)
def test_a_failure_for_good_is_said_at_once(server, make, answer, failure):
    server.fault = lambda asked: answer
    for act in (lambda: remote_in(server).packs(), lambda: remote_in(server).publish(make.next())):
        before = len(server.asked)
        with pytest.raises(failure) as caught:
            act()
        assert len(server.asked) - before <= (3 if failure is NotFound else 1)
        assert isinstance(caught.value, RemoteDenied) == (failure is RemoteDenied) and caught.value.hint


def test_what_a_server_says_gets_into_no_message(server):
    secret = server.environment()["AWS_SECRET_ACCESS_KEY"]
    body = f"<Error><Code>\x1b[31m{secret}</Code><Message>rm -rf {secret}\u202e</Message></Error>".encode()
    for status in (400, 403, 500):
        server.fault = lambda asked, status=status: Answer(status, body)
        with pytest.raises(RemoteError) as caught:
            remote_in(server).packs()
        text = f"{caught.value} {caught.value.hint}"
        assert secret not in text and "rm -rf" not in text and text.isprintable()


@pytest.mark.parametrize("what", ["lost", "500 and yet done"])
def test_a_commit_whose_reply_was_lost_is_known_to_be_ours(server, make, what):
    remote, rival = remote_in(server), remote_in(server)
    mine, other = make.next(why="mine"), make.next(why="other")
    server.fault = first(1, PASSING[what], "PUT", "refs")
    assert remote.publish(mine) is True
    assert rival.publish(other) is False
    assert followed(rival).transactions == {1: mine.transaction}


def test_a_conflict_with_nobody_is_tried_again(server, make):
    """AWS answers 409 to all but one of those who create at once, and the one may give up."""
    remote = remote_in(server)
    server.fault = first(2, error(409, "ConditionalRequestConflict"), "PUT", "refs")
    publish_all(remote, [make.next()])
    server.fault = lambda asked: error(409, "ConditionalRequestConflict") if asked.method == "PUT" else None
    with pytest.raises(RemoteError, match="kept creating"):
        remote.publish(make.next(make.next()))


def test_a_server_that_says_nothing_is_given_up(server):
    server.fault = lambda asked: time.sleep(3) or None
    begun = time.monotonic()
    with pytest.raises(RemoteError, match="no answer"):
        remote_in(server, patience=Patience(tries=2, first=0.001, request=0.2, whole=1.0)).packs()
    assert time.monotonic() - begun < 3


# -- bodies -------------------------------------------------------------------------------------------------


def large(server, remote, make):
    pack = make.data(3_000_000)
    remote.upload(pack)
    server.asked.clear()
    return pack


def answer_to(asked: Asked, body: bytes) -> tuple[int, int]:
    """The range that a request asks for."""
    start, _, end = asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(start), int(end or len(body) - 1) + 1


def test_a_body_that_was_cut_goes_on_where_it_ended(server, make):
    remote = remote_in(server)
    pack = large(server, remote, make)
    body = bytes_of(pack)

    def fault(asked: Asked) -> Answer | None:
        if asked.method != "GET" or len(server.asked) > 3:
            return None
        start, end = answer_to(asked, body)
        status, headers = 200, {}
        if "range" in asked.headers:
            status, headers = 206, {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
        return Answer(status, body[start : start + 1_100_000], headers, length=end - start)

    server.fault = fault
    assert read(remote, pack) == body
    ranges = [answer_to(asked, body)[0] for asked in server.asked]
    assert ranges[0] == 0 and ranges == sorted(ranges) and len(ranges) == 3
    server.asked.clear()
    assert read(remote, pack, 500_000, 2_900_000) == body[500_000:2_900_000]


def test_a_body_that_never_goes_on_is_given_up(server, make):
    remote = remote_in(server)
    pack = large(server, remote, make)
    body = bytes_of(pack)

    def fault(asked: Asked) -> Answer:
        start, end = answer_to(asked, body)
        if "range" not in asked.headers:
            return Answer(200, body[:100], length=len(body))
        return Answer(206, b"", {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}, length=end - start)

    server.fault = fault
    with pytest.raises(RemoteError, match="cut"):
        read(remote, pack)
    assert QUICK.tries <= len(server.asked) <= QUICK.tries**2


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(200, b"x" * 100_000, endless=True), Damaged),
        (Answer(206, b"x" * 100, {"Content-Range": "bytes 5-104/4000000"}), Damaged),
        (Answer(200, b"x" * 100), Damaged),
        (Answer(206, b"x" * 100, {"Content-Range": "bytes 10-109/109"}), (Damaged, RemoteError)),
        (Answer(206, b"x" * 100, {"Content-Range": "bytes 10-"}), (Damaged, RemoteError)),
        (Answer(206, b"", {"Content-Range": "bytes 10-109/4000000"}), (Damaged, RemoteError)),
    ],
    ids=["endless", "elsewhere", "whole", "short", "garbled", "empty"],
)
def test_an_answer_that_is_not_what_was_asked_for(server, make, answer, failure):
    remote = remote_in(server)
    pack = large(server, remote, make)
    server.fault = lambda asked: answer
    with pytest.raises(failure):
        read(remote, pack, 10, 110)


def test_a_body_longer_than_its_range_is_cut_off(server, make):
    remote = remote_in(server)
    pack = large(server, remote, make)
    server.fault = lambda asked: Answer(206, b"x" * 5_000_000, {"Content-Range": "bytes 10-109/4000000"})
    assert read(remote, pack, 10, 110) == b"x" * 100


def test_a_range_beyond_the_end_is_damage(server, make):
    remote = remote_in(server)
    pack = large(server, remote, make)
    for start, end in ((pack.size - 5, pack.size + 5), (pack.size + 10, pack.size + 20)):
        with pytest.raises((Damaged, RemoteError)):
            read(remote, pack, start, end)


def test_a_range_costs_a_range(server, make):
    remote = remote_in(server)
    pack = large(server, remote, make)
    read(remote, pack, 100, 2100)
    assert [asked.headers["range"] for asked in server.asked] == ["bytes=100-2099"]


def test_an_object_larger_than_it_may_be_is_not_read(server):
    store = store_of(server)
    server.objects["big"] = b"x" * 3_000_000
    with pytest.raises(Damaged, match="more than"):
        store.get("big", limit=1000)
    server.fault = lambda asked: Answer(200, b"x", length=10**15)
    with pytest.raises(Damaged, match="more than"):
        store.get("big", limit=1000)
    store.close()


# -- listings -----------------------------------------------------------------------------------------------


def test_strangers_among_the_keys_are_passed_over(server, make):
    remote = remote_in(server, "p")
    data, tree, publication = push(remote, make)
    stranger = "ab" * 32
    for key in (
        "p/packs/readme", f"p/packs/{stranger}", f"p/packs/{stranger}.pack.part", f"p/packs/{stranger.upper()}.pack",
        f"p/packs/{stranger}.index", f"p/packs/deeper/{stranger}.pack", "p/packs/", f"pp/packs/{stranger}.pack",
        f"p/meta/{stranger}.index", f"p/index/{stranger}.pack", f"p/index/{stranger[1:]}.index", "p/refs/1.json",
        f"p/refs/{0:020}.json", f"p/refs/{2:020}.json.bak", f"p/refs/x/{2:020}.json", "p/refs/" + "٣" * 20 + ".json",
        "p/else", "else",
    ):  # fmt: skip
        server.objects[key] = b"nothing of ours"
    client = remote_in(server, "p")
    assert client.packs() == {data.id}
    seen = followed(client)
    assert seen.transactions == {1: publication.transaction}
    assert (set(seen.metadata), set(seen.indexes)) == ({tree.id}, {data.id})


@pytest.mark.parametrize("key", ["p/packs/../x", "p/packs//x", "p/packs/./x"])
def test_a_key_that_can_t_be_listed_is_said(server, key):
    server.objects[key] = b""
    with pytest.raises(RemoteError, match="remove it"):
        remote_in(server, "p").packs()


@pytest.mark.parametrize("kind", ["the same page", "two pages in turn", "one key twice"])
def test_a_listing_that_repeats_itself_is_damage(server, kind):
    pages = {
        "the same page": [[("p/packs/a", 1), ("p/packs/b", 1)]],
        "two pages in turn": [[("p/packs/a", 1)], [("p/packs/b", 1)]],
        "one key twice": [[("p/packs/a", 1), ("p/packs/a", 1)]],
    }[kind]
    turn = itertools.cycle(pages)
    server.fault = lambda asked: listing(next(turn), more=True, token=str(len(server.asked)))
    with pytest.raises(Damaged, match="twice"):
        remote_in(server, "p").packs()


def test_a_listing_of_endless_empty_pages_is_given_up(server):
    server.fault = lambda asked: listing([], more=True, token=str(len(server.asked)))
    with pytest.raises(RemoteError, match="no answer"):
        remote_in(server, patience=Patience(tries=2, first=0.001, request=0.3, whole=1.0)).packs()
    done = len(server.asked)
    time.sleep(0.2)
    assert len(server.asked) <= done + 2


@pytest.mark.parametrize("body", [b"", b"<", b"not xml", b"<ListBucketResult>", b"{}", b"\xff" * 100])
def test_a_listing_that_is_none(server, body):
    server.fault = lambda asked: Answer(200, body, {"Content-Type": "application/xml"})
    with pytest.raises(RemoteError):
        remote_in(server).packs()


def test_what_is_listed_and_not_there(server, make):
    remote = remote_in(server)
    push(remote, make)
    for part in ("meta", "index", "refs"):
        server.fault = lambda asked, part=part: (
            error(404, "NoSuchKey") if asked.method == "GET" and part in asked.key else None
        )
        with pytest.raises(RemoteError, match="lists"):
            followed(remote_in(server))


def test_a_log_with_a_gap_is_damage(server, make):
    remote = remote_in(server, "p")
    chain = [make.next()]
    chain += [make.next(chain[-1])]
    chain += [make.next(chain[-1])]
    publish_all(remote, chain)
    del server.objects[f"p/refs/{2:020}.json"]
    with pytest.raises(Damaged, match="no transaction 2"):
        followed(remote_in(server, "p"))
    server.objects[f"p/refs/{'9' * 20}.json"] = b""
    with pytest.raises(Damaged, match="no transaction"):
        followed(remote_in(server, "p"))


def test_pages_of_a_listing_are_followed(server, make):
    server.page = 3
    remote = remote_in(server)
    packs = [make.data(100) for _ in range(10)]
    for pack in packs:
        remote.upload(pack)
    assert remote.packs() == {pack.id for pack in packs}


# -- what it costs, and in which order ----------------------------------------------------------------------


def test_a_look_at_what_is_known_costs_one_request(server, make):
    remote = remote_in(server)
    push(remote, make)
    seen = followed(remote)
    server.asked.clear()
    assert [head[0] for head in seen.follow(remote)] == [PieceKind.TOKEN]
    assert [asked.method for asked in server.asked] == ["LIST"]


def test_a_pack_that_is_there_is_not_sent_again(server, make):
    remote, pack = remote_in(server), make.data(500_000)
    remote.upload(pack)
    server.asked.clear()
    remote_in(server).upload(pack)
    assert server.count("PUT") == 0


def test_the_order_of_a_push_is_packs_index_metadata_transaction_checkpoint(server, make):
    remote = remote_in(server, "")
    data = [make.data(), make.data()]
    for pack in data:
        remote.upload(pack)
    trees = [make.metadata() for _ in range(20)]
    publish_all(remote, [make.next(metadata=trees, indexes=data, checkpoint=True)])
    places = [asked.key.split("/")[0] for asked in server.asked if asked.method == "PUT"]
    assert [place for place, _ in itertools.groupby(places)] == ["format", "packs", "index", "meta", "refs"]
    written = [asked.key for asked in server.asked if asked.method == "PUT" and "refs" in asked.key]
    assert [key.rpartition(".")[2] for key in written] == ["json", "checkpoint"]
    assert all(
        asked.headers["if-none-match"] == "*"
        for asked in server.asked
        if asked.method == "PUT" and "check" not in asked.key
    )


def test_a_checkpoint_that_can_t_be_written_is_none(server, make):
    remote = remote_in(server)
    server.fault = lambda asked: error(403, "AccessDenied") if "checkpoint" in asked.key else None
    publish_all(remote, [make.next(checkpoint=True)])


def test_an_object_of_another_content_under_a_pack_s_name_is_damage(server, make):
    remote, data, tree = remote_in(server, "p"), make.data(), make.metadata()
    remote.upload(data)
    for wrong in (b"short", bytes_of(data)[:-1] + b"?"):
        server.objects[f"p/packs/{data.id}.pack"] = wrong
        with pytest.raises(Damaged, match="name"):
            remote.upload(data)
    server.objects[f"p/meta/{tree.id}.pack"] = b"?" * tree.size
    with pytest.raises(Damaged, match="name"):
        remote.publish(make.next(metadata=[tree], indexes=[data]))
    assert followed(remote).number == 0


# -- stores that can't, or that hold something else ---------------------------------------------------------


def test_a_store_that_ignores_conditions_is_found_out(server, make):
    server.conditions = False
    found = remote_in(server).probe()
    assert not found.many_writers and found.writable and "lose" in found.warnings[0]
    assert not server.objects


def test_a_store_whose_conditions_hold_only_without_rivals_is_found_out(server):
    """As some had it: looked first, created then."""
    honest = server._put

    def racy(asked: Asked, body: bytes) -> Answer:
        if asked.headers.get("if-none-match") and asked.key.rpartition("-")[2] != "0":
            asked.headers.pop("if-none-match")
        return honest(asked, body)

    server._put = racy
    assert not remote_in(server).probe().many_writers


def test_a_bucket_that_may_only_be_read_is_found_out(server, make):
    push(remote_in(server), make)
    server.fault = lambda asked: error(403, "AccessDenied") if asked.method in ("PUT", "DELETE") else None
    found = remote_in(server).probe()
    assert not found.writable and found.warnings
    assert followed(remote_in(server)).number == 1
    with pytest.raises(RemoteDenied):
        remote_in(server).upload(make.data())


def test_no_bucket_is_not_found(server, make):
    from artvc.remotes.bucket import BucketRemote

    remote = BucketRemote(store_of(server, bucket="missing"), "p")
    for act in (
        remote.probe,
        remote.packs,
        lambda: list(remote.history(Known())),
        lambda: remote.upload(make.data()),
        lambda: remote.publish(make.next()),
        lambda: read(remote, make.data()),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_newer_format_is_neither_read_nor_written(server, make):
    push(remote_in(server, "p"), make)
    server.objects["p/format"] = checked({"version": 2, "chunking": "another"})
    before = dict(server.objects)
    for act in (
        lambda: followed(remote_in(server, "p")),
        lambda: remote_in(server, "p").upload(make.data()),
        lambda: remote_in(server, "p").publish(make.next(make.next())),
    ):
        with pytest.raises((UnsupportedFormat, Damaged)):
            act()
    assert server.objects == before
    server.objects["p/format"] = format_file()[:-1]
    with pytest.raises(Damaged):
        followed(remote_in(server, "p"))
    del server.objects["p/format"]
    with pytest.raises(Damaged, match="no format"):
        followed(remote_in(server, "p"))


# -- processes ----------------------------------------------------------------------------------------------

CHILD = """
import os, sys, signal
from artvc.errors import RemoteError
from artvc.remotes.object_store import Access, ObjectStore, Patience
access = Access.from_environment("s3", os.environ)
store = ObjectStore("s3", "bucket", access)
if sys.argv[1] == "fork after use":
    store.get("a", limit=10)
if sys.argv[1].startswith("fork"):
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            code = 0 if ObjectStore("s3", "bucket", access).get("a", limit=10) == b"x" else 1
        except RemoteError as exc:
            code = 9 if "spawn" in exc.hint else 1
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(code if store.get("a", limit=10) == b"x" else 2)
try:
    print("asking", flush=True)
    store.get("stuck", limit=10)
except KeyboardInterrupt:
    store.close()
    sys.exit(130)
"""


def start(server, what: str) -> subprocess.Popen:
    environ = {**os.environ, **server.environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, what]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("what", "code"), [("fork before use", 0), ("fork after use", 9)])
def test_a_forked_child_works_or_is_told_why_not(server, what, code):
    server.objects["a"] = b"x"
    with start(server, what) as process:
        assert process.wait(timeout=60) == code


def test_who_waits_can_be_interrupted(server):
    stuck = threading.Event()
    server.fault = lambda asked: stuck.wait(30) and None
    with start(server, "interrupt") as process:
        assert process.stdout.readline() == "asking\n"
        while not server.asked:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    stuck.set()


def test_a_closed_store_can_be_used_again(server):
    server.objects["a"] = b"x"
    store = store_of(server)
    for _ in range(2):
        assert store.get("a", limit=10) == b"x"
        store.close()
    store.close()


# -- credentials --------------------------------------------------------------------------------------------


def test_only_what_belongs_to_the_scheme_is_taken_and_nothing_is_shown(tmp_path):
    environ = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "GOOGLE_BEARER_TOKEN": "t",
        "HOME": str(tmp_path),
        "AWS_PAGER": "x",
    }
    found = Access.from_environment("s3", environ)
    assert found.options == {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert "secret" not in repr(found)
    assert Access.from_environment("gs", environ).options == {"GOOGLE_BEARER_TOKEN": "t"}
    assert Access.from_environment("az", environ).options == {}


def profiles(home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = s1\n"
        "[other]\naws_access_key_id = two\naws_secret_access_key = s%2\naws_session_token = t\n"
    )
    (home / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-1\noutput = json\n[profile other]\nregion = eu-central-1\nendpoint_url = https://s3.example\n"
    )


def test_profiles_of_the_aws_tools_are_read(tmp_path):
    profiles(tmp_path)
    environ = {"HOME": str(tmp_path)}
    assert Access.from_environment("s3", environ).options == {
        "AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "s1", "AWS_REGION": "eu-west-1",
    }  # fmt: skip
    assert Access.from_environment("s3", {**environ, "AWS_PROFILE": "other", "AWS_REGION": "here"}).options == {
        "AWS_ACCESS_KEY_ID": "two", "AWS_SECRET_ACCESS_KEY": "s%2", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "here",
        "AWS_ENDPOINT_URL": "https://s3.example", "AWS_ENDPOINT_URL_S3": "https://s3.example",
    }  # fmt: skip
    assert "one" not in Access.from_environment("s3", {**environ, "AWS_ACCESS_KEY_ID": "k"}).options.values()
    with pytest.raises(InvalidInput, match="no AWS profile"):
        Access.from_environment("s3", {**environ, "AWS_PROFILE": "third"})
    (tmp_path / ".aws" / "config").write_text("no section")
    with pytest.raises(InvalidInput, match="profiles"):
        Access.from_environment("s3", environ)


def test_malformed_settings_are_the_user_s_mistake(server):
    for options in ({"AWS_SKIP_SIGNATURE": "perhaps"}, {"AWS_CHECKSUM_ALGORITHM": "crc7"}):
        with pytest.raises(InvalidInput) as caught:
            ObjectStore("s3", "bucket", Access(options={**server.environment(), **options}), QUICK)
        assert server.environment()["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    with pytest.raises(InvalidInput):
        ObjectStore("s3", "bucket", Access(options=server.environment(), certificates=b"no certificate"), QUICK)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InvalidInput) as caught:
        ObjectStore("s3", "bucket", Access())
    assert caught.value.hint == "pip install 'artvc[s3]'"
