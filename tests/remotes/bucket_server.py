"""A bucket server for tests: as much of S3 as artvc asks for, with and without conditions, and with faults on order.

It keeps one bucket in memory and looks at no signature.  ``fault`` is asked about each request before it is served
and may answer in the server's place.
"""

import http.server
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape


@dataclass
class Asked:
    """A request.

    Attributes:
        method: ``LIST`` for a GET that lists.
        key: of the object; the prefix of a listing.
        query: of the URL.
        headers: names in lower case.
        number: of the request, from 0.
    """

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    number: int


@dataclass
class Answer:
    """What is sent back.

    Attributes:
        status: of HTTP.
        body: its bytes.
        headers: beside Content-Length.
        length: Content-Length where it shall not be that of the body; the connection is cut behind the body.
        cut: no answer at all.
        after: the request is served first, and then this is answered.
        endless: the body is sent again and again.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    cut: bool = False
    after: bool = False
    endless: bool = False


Fault = Callable[[Asked], Answer | None]


def error(status: int, code: str, **headers: str) -> Answer:
    """An answer as S3 words its refusals."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **headers})


class BucketServer:
    """The server's state.

    Attributes:
        objects: bytes by key.
        asked: all requests so far.
        conditions: whether If-None-Match is honoured.
        page: keys in a page of a listing.
        fault: asked about each request.
    """

    bucket = "bucket"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.conditions = True
        self.page = 1000
        self.fault: Fault | None = None
        self.port = 0
        self._lock = threading.Lock()

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def count(self, method: str, part: str = "") -> int:
        """How many requests of a method had this in their key."""
        return sum(one.method == method and part in one.key for one in self.asked)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query_text = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query_text, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(path).removeprefix("/").partition("/")
        if method == "GET" and "list-type" in query:
            method, key = "LIST", query.get("prefix", "")
        with self._lock:
            asked = Asked(method, key, query, headers, len(self.asked))
            self.asked.append(asked)
        fault = self.fault(asked) if self.fault else None
        if fault is not None and not fault.after:
            return fault
        if bucket != self.bucket:
            return error(404, "NoSuchBucket")
        with self._lock:
            served = getattr(self, "_" + method.lower())(asked, body)
        return fault or served

    def _put(self, asked: Asked, body: bytes) -> Answer:
        if self.conditions and asked.headers.get("if-none-match") == "*" and asked.key in self.objects:
            return error(412, "PreconditionFailed")
        self.objects[asked.key] = body
        return Answer(headers={"ETag": '"0"'})

    def _get(self, asked: Asked, body: bytes) -> Answer:
        if asked.key not in self.objects:
            return error(404, "NoSuchKey")
        found = self.objects[asked.key]
        headers = {"ETag": '"0"', "Last-Modified": "Mon, 23 Nov 2026 03:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
        if not wanted:
            return Answer(200, found, headers)
        if not wanted[1]:
            start, end = max(0, len(found) - int(wanted[2])), len(found)
        else:
            start, end = int(wanted[1]), min(len(found), int(wanted[2] or len(found)) + 1)
        if start >= len(found):
            return error(416, "InvalidRange")
        return Answer(206, found[start:end], {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(found)}"})

    def _head(self, asked: Asked, body: bytes) -> Answer:
        found = self._get(asked, body)
        return Answer(found.status, b"", found.headers, length=len(found.body))

    def _delete(self, asked: Asked, body: bytes) -> Answer:
        self.objects.pop(asked.key, None)
        return Answer(204)

    def _list(self, asked: Asked, body: bytes) -> Answer:
        start = max(asked.query.get("start-after", ""), asked.query.get("continuation-token", ""))
        keys = sorted(key for key in self.objects if key.startswith(asked.key) and key > start)
        return listing([(key, len(self.objects[key])) for key in keys[: self.page]], more=len(keys) > self.page)


def listing(entries: list[tuple[str, int]], *, more: bool = False, token: str | None = None) -> Answer:
    """A page of keys and sizes; ``token`` leads to the next one (that after its last key where None)."""
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>&quot;0&quot;</ETag>"
        "<LastModified>2026-11-23T03:00:00.000Z</LastModified></Contents>"
        for key, size in entries
    )
    after = entries[-1][0] if token is None and entries else token or ""
    rest = f"<NextContinuationToken>{escape(after)}</NextContinuationToken>" if more else ""
    return Answer(
        200,
        f"<?xml version='1.0'?><ListBucketResult><KeyCount>{len(entries)}</KeyCount>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}{rest}</ListBucketResult>".encode(),
        {"Content-Type": "application/xml"},
    )


@contextmanager
def serving() -> Iterator[BucketServer]:
    """A running server on a port of its own."""
    state = BucketServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = state.answer(self.command, self.path, headers, body)
            if answer.cut:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if not answer.endless:
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            try:
                self.wfile.write(answer.body)
                while answer.endless:
                    self.wfile.write(answer.body)
            except OSError:
                self.close_connection = True
            if answer.length is not None and self.command != "HEAD":
                self.close_connection = True

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = serve

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, *args: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
