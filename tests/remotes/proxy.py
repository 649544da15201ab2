"""A TCP proxy that breaks connections at a byte, for tests of what a cut does to a push or a pull.

with proxied("127.0.0.1", port) as proxy:
    proxy.cut(Cut(after=65536, direction="up", how="reset"))
    ...  # a client of 127.0.0.1:proxy.port
    assert proxy.cuts == 1
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down"]
How = Literal["close", "reset", "stall", "half"]
HOWS: tuple[How, ...] = ("close", "reset", "stall", "half")
READ = 64 * 1024


@dataclass(frozen=True)
class Cut:
    """Where and how connections break.

    Attributes:
        after: bytes that still pass in the direction, over all connections, since the last cut.
        direction: ``up`` to the server, ``down`` to the client.
        how: ``close`` ends both ways, ``reset`` too but rudely, ``stall`` leaves the connection open and passes no more
            in either direction, ``half`` ends one way only.
        times: how often; then all passes again.
        gone: nobody is let in any more after the last of them, as if the server had gone.
    """

    after: int
    direction: Direction = "up"
    how: How = "reset"
    times: int = 1
    gone: bool = False


class Proxy:
    """A running proxy.

    Attributes:
        port: to connect to, on 127.0.0.1.
        passed: bytes that passed in each direction.
        cuts: how many connections were cut.
        connections: how many there were.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.passed = {"up": 0, "down": 0}
        self.cuts = 0
        self.connections = 0
        self._target = (host, port)
        self._plan: Cut | None = None
        self._left = 0
        self._times = 0
        self._gone = False
        self._tasks: set[asyncio.Task] = set()

    def cut(self, plan: Cut | None) -> None:
        """Break connections from here on, or (None) let everything pass."""
        self._plan = plan
        self._gone = False
        if plan is not None:
            self._left, self._times = plan.after, plan.times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._gone:
                reset(writer)
                return
            there, here = await asyncio.open_connection(*self._target)
            try:
                await self._pass(reader, writer, there, here)
            finally:
                here.close()
        except (OSError, asyncio.CancelledError):  # at the end all that stall are told to stop
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass(self, reader, writer, there, here) -> None:
        """Both directions until both have ended, or one was cut."""
        ways = [
            asyncio.create_task(self._way("up", reader, here)),
            asyncio.create_task(self._way("down", there, writer)),
        ]
        try:
            for way in asyncio.as_completed(ways):
                match await way:
                    case "reset":
                        reset(writer)
                        reset(here)
                        return
                    case "close":
                        return
                    case "stall":
                        for one in ways:
                            one.cancel()
                        await asyncio.sleep(3600)
        finally:
            for one in ways:
                one.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _way(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> How | None:
        """Pass bytes on; how they were cut, None where they ended by themselves."""
        while piece := await reader.read(READ):
            plan = self._plan
            due = plan is not None and plan.direction == direction and self._times > 0 and len(piece) >= self._left
            if due:
                piece = piece[: self._left]
            elif plan is not None and plan.direction == direction:
                self._left -= len(piece)
            self.passed[direction] += len(piece)
            writer.write(piece)
            await writer.drain()
            if due and plan is not None:
                self.cuts += 1
                self._times -= 1
                self._left = plan.after
                self._gone = plan.gone and not self._times
                if plan.how == "half":
                    break
                return plan.how
        with suppress(OSError, RuntimeError):
            writer.write_eof()
        return None

    async def _run(self, started: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST rather than FIN."""
    found = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    """A proxy before a server."""
    proxy, started = Proxy(host, port), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(proxy._run(started, stop))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
