"""Who one is on a git host: asked of ``git credential`` or the environment, for one host, and kept nowhere."""

import base64
import contextlib
import subprocess
import threading
from collections.abc import Mapping
from typing import Final

from artvc.errors import RemoteDenied

USER_VARIABLE, TOKEN_VARIABLE, HOST_VARIABLE = "ARTVC_GIT_USERNAME", "ARTVC_GIT_TOKEN", "ARTVC_GIT_HOST"
HINT: Final = (
    f"store them with 'git credential approve' or a credential helper, or set {HOST_VARIABLE}, {USER_VARIABLE} and "
    f"{TOKEN_VARIABLE}"
)
_ASKING: Final = 300.0  # seconds for a helper, which may ask a person
_CONFIG: Final = 30.0


class Credentials:
    """Name and password for one origin.

    Args:
        scheme, host: of the origin; the host with its port where that is not the scheme's own.
        path: of the repository, which some helpers want.
        user: from the address; "" where it has none.
        environ: variables; a token in them counts for the host only that is named beside it.
        terminal: whether somebody can be asked.
    """

    def __init__(
        self, scheme: str, host: str, path: str, user: str, environ: Mapping[str, str], *, terminal: bool
    ) -> None:
        self._asked = f"protocol={scheme}\nhost={host}\npath={path.strip('/')}\n" + (
            f"username={user}\n" if user else ""
        )
        self._host = host
        self._environ = environ
        self._terminal = terminal
        self._lock = threading.Lock()
        self._answer = ""  # of the helper
        self._header: str | None = None
        self._approved = False

    def header(self) -> str | None:
        """What is sent; None where nothing was asked for yet."""
        return self._header

    def get(self, refused: str | None) -> str:
        """What to send after the server asked for it.

        Args:
            refused: what was sent and did not do; None where nothing was.

        Raises:
            RemoteDenied: there is nothing, or nothing else.
        """
        with self._lock:
            if self._header is not None and self._header != refused:
                return self._header  # another thread asked
            if refused is not None:
                self._run("reject", self._answer)
                self._header, self._answer = None, ""
                raise RemoteDenied(f"{self._host} does not accept these credentials", hint=HINT)
            self._header = self._from_environment() or self._from_helper()
            if self._header is None:
                raise RemoteDenied(f"{self._host} wants credentials, and there are none", hint=HINT)
            return self._header

    def worked(self) -> None:
        """The server took them."""
        with self._lock:
            if self._answer and not self._approved:
                self._approved = True
                self._run("approve", self._answer)

    def _from_environment(self) -> str | None:
        token = self._environ.get(TOKEN_VARIABLE)
        if not token or self._environ.get(HOST_VARIABLE, "").lower() != self._host.lower():
            return None
        return _basic(self._environ.get(USER_VARIABLE) or "artvc", token)

    def _from_helper(self) -> str | None:
        answer = self._run("fill", self._asked)
        values = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
        if not values.get("password"):
            return None
        self._answer = answer if answer.endswith("\n\n") else answer + "\n"
        return _basic(values.get("username", ""), values["password"])

    def _run(self, verb: str, asked: str) -> str:
        if not asked:
            return ""
        environ = dict(self._environ) | ({} if self._terminal else {"GIT_TERMINAL_PROMPT": "0"})
        with contextlib.suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
            done = subprocess.run(
                ["git", "credential", verb],
                input=asked if asked.endswith("\n\n") else asked + "\n",
                stdout=subprocess.PIPE,
                stderr=None if self._terminal else subprocess.DEVNULL,
                text=True,
                env=environ,
                timeout=_ASKING,
                check=False,
            )
            return done.stdout if done.returncode == 0 else ""
        return ""


def configured(name: str, environ: Mapping[str, str]) -> str:
    """A value of git's configuration; "" where there is none, or no git."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        done = subprocess.run(
            ["git", "config", "--get", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(environ),
            timeout=_CONFIG,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
