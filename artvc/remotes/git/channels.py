"""Connections of git's own protocol: a socket, or the pipes of an ssh; every wait has an end.

What the other side sends is counted: dulwich reads refs into memory and packs through a callback, both as long as
bytes come, so the count is what keeps an endless answer from being read for ever.
"""

import contextlib
import io
import os
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from artvc.errors import Damaged, InvalidInput

_BUFFER: Final = 1024 * 1024
_SENT: Final = 256 * 1024  # bytes in one wait
_SAID: Final = 8 * 1024  # bytes of what a program says about its failure
_ENDING: Final = 10.0  # seconds for a program to end
REFS_BYTES: Final = 64 * 1024 * 1024  # half a million refs


class _Reader(Protocol):
    """What a channel reads from."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer only at the end."""
        ...


class Counter:
    """How many more bytes may come on a connection.

    Attributes:
        ended: it ended where more was expected.
    """

    def __init__(self) -> None:
        self.ended = False
        self._left = REFS_BYTES

    def allow(self, size: int) -> None:
        """From here on so many, and a little for what git wraps around them."""
        self._left = size + size // 64 + 1024 * 1024

    def count(self, size: int, wanted: int) -> None:
        """Bytes came, of so many that were wanted.  Raises Damaged where they are too many."""
        self.ended = size < wanted
        self._left -= size
        if self._left < 0:
            raise Damaged("the answer is longer than anything that was asked for")


class Channel:
    """A connection that dulwich reads and writes.

    Attributes:
        counter: of the bytes that come.
        stuck: a wait was given up.
    """

    stuck = False

    def __init__(self) -> None:
        self.counter = Counter()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        data = self._reader().read(size)
        self.counter.count(len(data), size)
        return data

    def _reader(self) -> _Reader:
        raise NotImplementedError

    def write(self, data: bytes) -> int:
        """Send all of it."""
        raise NotImplementedError

    def can_read(self) -> bool:
        """Whether something is there to be read."""
        raise NotImplementedError

    def finish_writing(self) -> None:
        """Nothing more will be written."""
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        raise NotImplementedError

    def said(self) -> str:
        """What was said about a failure, beside the connection."""
        return ""


def _is_readable(fd: int) -> bool:
    poll = select.poll()  # select() knows the first 1,024 files only
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class SocketChannel(Channel):
    """A TCP connection.

    Args:
        host, port: of the server.
        silence: seconds after which a wait ends.
    """

    def __init__(self, host: str, port: int, *, silence: float) -> None:
        super().__init__()
        self._socket = socket.create_connection((host, port), timeout=silence)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", _BUFFER)

    def _reader(self) -> _Reader:
        return self._file

    def write(self, data: bytes) -> int:
        """Send all of it."""
        view = memoryview(data)
        for start in range(0, len(view), _SENT):
            self._socket.sendall(view[start : start + _SENT])
        return len(view)

    def can_read(self) -> bool:
        """Whether something is there to be read."""
        return _is_readable(self._socket.fileno())

    def finish_writing(self) -> None:
        """Nothing more will be written."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it."""
        self._file.close()
        self._socket.close()


class _Pipe(io.RawIOBase):
    """What a program writes.

    Args:
        fd: to read from.
        silence: seconds after which a wait ends.
        stuck: called then, before a TimeoutError is raised.
    """

    def __init__(self, fd: int, silence: float, stuck: Callable[[], None]) -> None:
        super().__init__()
        self._fd = fd
        self._silence = silence
        self._stuck = stuck

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(self._silence * 1000):
            self._stuck()
            raise TimeoutError("no answer in time")
        data = os.read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class ProgramChannel(Channel):
    """A program's input and output.

    Args:
        args: the program and its arguments; no shell looks at them.
        environ: its variables.
        silence: seconds after which a wait ends.
        one_answer: it reads all that is written, to the end, and answers then.
    """

    def __init__(self, args: Sequence[str], environ: Mapping[str, str], *, silence: float, one_answer: bool) -> None:
        super().__init__()
        self._silence = silence
        self._one_answer = one_answer
        self._written = False
        self._tail = bytearray()
        try:
            self._program = subprocess.Popen(
                list(args),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
            )
        except (OSError, ValueError) as exc:
            raise InvalidInput(f"cannot run {args[0][:80]!r}: {exc}", hint="is it installed?") from exc
        if self._program.stdin is None or self._program.stdout is None or self._program.stderr is None:
            raise AssertionError("all of them are pipes")
        self._in, self._out = self._program.stdin, self._program.stdout
        os.set_blocking(self._in.fileno(), False)
        self._file = io.BufferedReader(_Pipe(self._out.fileno(), silence, self._give_up), _BUFFER)
        # A program that is started here may start one that stays, and keeps this pipe: nobody waits for its end.
        threading.Thread(target=self._listen, args=(self._program.stderr,), name="artvc-ssh", daemon=True).start()

    def _give_up(self) -> None:
        self.stuck = True

    def _listen(self, source: Any) -> None:
        with source, contextlib.suppress(OSError, ValueError):
            while piece := source.read(_SAID):
                self._tail += piece
                del self._tail[:-_SAID]

    def _reader(self) -> _Reader:
        if self._one_answer and self._written:
            self.finish_writing()
        return self._file

    def write(self, data: bytes) -> int:
        """Send all of it."""
        self._written = True
        view, poll = memoryview(data), select.poll()
        poll.register(self._in.fileno(), select.POLLOUT)
        total = len(view)
        while view:
            if not poll.poll(self._silence * 1000):
                self._give_up()
                raise TimeoutError("nothing was taken in time")
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._in.fileno(), view[:_SENT]) :]
        return total

    def can_read(self) -> bool:
        """Whether something is there to be read."""
        return _is_readable(self._out.fileno())

    def finish_writing(self) -> None:
        """Nothing more will be written."""
        with contextlib.suppress(OSError):
            self._in.close()

    def close(self) -> None:
        """End it."""
        self.finish_writing()
        self._out.close()
        try:
            self._program.wait(0 if self.stuck else _ENDING)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()

    def said(self) -> str:
        """The end of what it wrote to its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(0 if self.stuck else 1.0)
        return bytes(self._tail).decode(errors="replace")


class Ssh:
    """How ssh is called, and the one connection that all calls share.

    Args:
        user, host, port: of the server; port 0 is ssh's own choice.
        environ: variables; ``GIT_SSH_COMMAND`` and ``GIT_SSH`` as git has them.
        configured: ``core.sshCommand``.
        terminal: whether somebody can be asked for a passphrase.

    Raises:
        InvalidInput: the command is malformed.
    """

    def __init__(
        self, user: str | None, host: str, port: int, environ: Mapping[str, str], *, configured: str, terminal: bool
    ) -> None:
        self._environ = dict(environ)
        self._where = ["-p", str(port)] * (port != 0) + [f"{user}@{host}" if user else host]
        self._directory: str | None = None
        self._left: list[str] = []
        self._lock = threading.Lock()
        command = environ.get("GIT_SSH_COMMAND") or configured
        try:
            self._command = shlex.split(command) if command else [environ.get("GIT_SSH") or "ssh"]
        except ValueError as exc:
            raise InvalidInput(f"the ssh command can't be understood: {exc}", hint="see GIT_SSH_COMMAND") from exc
        if not self._command:
            raise InvalidInput("the ssh command is empty", hint="see GIT_SSH_COMMAND")
        self._is_openssh = Path(self._command[0]).name == "ssh"
        self._options = [] if terminal else ["-o", "BatchMode=yes"]
        self._options += ["-o", "ServerAliveInterval=15", "-o", "ConnectTimeout=20", "-x"]

    def arguments(self, command: str, *, version: int) -> tuple[list[str], dict[str, str]]:
        """The call that runs a command there, and its variables.

        Args:
            command: for the shell there, quoted.
            version: of git's protocol to ask for; 0 is none.
        """
        environ, options = dict(self._environ), list[str]()
        if self._is_openssh:
            options = [*self._options, *self._shared()]
            if version:
                environ["GIT_PROTOCOL"] = f"version={version}"
                options += ["-o", "SendEnv=GIT_PROTOCOL"]
        return [*self._command, *options, *self._where, command], environ

    def _shared(self) -> list[str]:
        """Options for one connection for all.  Its socket needs a short path, and a directory of this user alone."""
        with self._lock:
            if self._directory is None:
                self._directory = tempfile.mkdtemp(prefix="artvc-")
            return ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={self._directory}/%C"]

    def begin_anew(self) -> None:
        """Leave the shared connection to those that use it: the next call makes another one."""
        with self._lock:
            if self._directory is not None:
                self._left.append(self._directory)
                self._directory = None

    def close(self) -> None:
        """End the shared connections."""
        self.begin_anew()
        with self._lock:
            directories, self._left = self._left, []
        for directory in directories:
            self._end(directory)

    def _end(self, directory: str) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if os.listdir(directory):
                subprocess.run(
                    [*self._command, "-o", f"ControlPath={directory}/%C", "-O", "exit", *self._where],
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_ENDING,
                    check=False,
                )
        shutil.rmtree(directory, ignore_errors=True)
