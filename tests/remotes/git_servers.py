"""Git servers that others wrote, started for tests on the loopback: git daemon, nginx with git http-backend, sshd,
gitolite, JGit and go-git.

    apt-get install git nginx-light fcgiwrap openssh-server gitolite3 jgit-cli default-jdk-headless go-git

Each of them is a context manager that takes a directory of its own and yields a :class:`GitServer`.  Nothing outside
that directory is read or written, but for the empty ``/run/sshd`` that sshd asks for when root starts it.
"""

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.remotes.seaweed import free_ports

HOST = "127.0.0.1"
PATIENCE = 60.0  # seconds until a server must be up
USER, PASSWORD = "ada", "open sesame"  # of the nginx that asks for them
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def program(name: str, *, package: str) -> str:
    """Where a program is; the test is skipped where it isn't."""
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


def hermetic(home: Path) -> dict[str, str]:
    """The environment of a git that knows nothing of this machine's user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
    return {
        **kept,
        "HOME": str(home),
        "PATH": SBIN,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
        "LC_ALL": "C",
    }


def git(*args: str | Path, environ: Mapping[str, str], cwd: Path | None = None) -> str:
    """What C git prints.  Raises RuntimeError with what it complains about."""
    done = subprocess.run(["git", *map(str, args)], cwd=cwd, env=environ, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"git {shlex.join(map(str, args))}: {done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Place:
    """A bare repository on a server.

    Attributes:
        url: as a client has it.
        path: where it lies on this machine.
    """

    url: str
    path: Path


@dataclass
class GitServer:
    """A running server.

    Attributes:
        url: of a repository by its name, in which ``{}`` stands for that.
        root: directory of the repositories.
        environ: of its clients and of git's commands.
        made: a repository once more, where it takes more than ``git init``.
    """

    url: str
    root: Path
    environ: dict[str, str]
    made: Callable[[str], None] | None = None
    _count: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def fresh(self, *settings: str) -> Place:
        """A new, empty, bare repository; ``settings`` are ``name=value`` of its configuration."""
        with self._lock:
            self._count += 1
            name = f"r{self._count}"
            path = self.root / f"{name}.git"
            if self.made is None:
                git("init", "--quiet", "--bare", path, environ=self.environ)
            else:
                self.made(name)
            for one in ("http.receivepack=true", *settings):
                git("config", *one.split("=", 1), environ=self.environ, cwd=path)
        return Place(self.url.format(name), path)


# -- processes ------------------------------------------------------------------------------------------------


def _below(pid: int) -> list[int]:
    """The processes that one started, and those that they did."""
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines()
    parents = {int(line.split()[0]): int(line.split()[1]) for line in lines}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _kill(process: subprocess.Popen) -> None:
    """Kill a server with everything below it, which need not be in its process group: sshd's children are not."""
    process.send_signal(signal.SIGSTOP)  # so that no child is started between the look and the kill
    for pid in [*_below(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def process(
    command: list[str], log: Path, environ: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator[subprocess.Popen]:
    """A program that runs until the block ends.  Raises RuntimeError where it does not start."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not ready():
            if running.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield running
    finally:
        _kill(running)


def _answers(server: GitServer, place: Place) -> Callable[[], bool]:
    """Whether a client gets through to a repository."""

    def ask() -> bool:
        try:
            git("ls-remote", place.url, environ=server.environ)
        except RuntimeError:
            return False
        return True

    return ask


@contextlib.contextmanager
def _serving(server: GitServer, command: list[str], log: Path, environ: Mapping[str, str]) -> Iterator[GitServer]:
    server.root.mkdir(parents=True, exist_ok=True)
    first = server.fresh()
    with process(command, log, environ, _answers(server, first)):
        yield server


# -- git:// ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def daemon(root: Path) -> Iterator[GitServer]:
    """``git daemon``, which lets everybody push."""
    (port,) = free_ports(1)
    environ, repositories = hermetic(root), root / "repositories"
    server = GitServer(f"git://{HOST}:{port}/{{}}.git", repositories, environ)
    command = [
        program("git", package="git"), "daemon", "--reuseaddr", f"--listen={HOST}", f"--port={port}", "--export-all",
        "--enable=receive-pack", f"--base-path={repositories}", str(repositories),
    ]  # fmt: skip
    with _serving(server, command, root / "log", environ):
        yield server


_BUILTIN_LFS = "package org.eclipse.jgit.lfs; public class BuiltinLFS { public static void register() {} }"


@contextlib.contextmanager
def jgit(root: Path) -> Iterator[GitServer]:
    """JGit's daemon: protocol v0 only, and nothing of C git in it."""
    command, javac = program("jgit", package="jgit-cli"), program("javac", package="default-jdk-headless")
    (port,) = free_ports(1)
    environ, repositories = hermetic(root), root / "repositories"
    # Debian's package lacks a class that the program looks for.
    source = root / "source" / "BuiltinLFS.java"
    source.parent.mkdir()
    source.write_text(_BUILTIN_LFS)
    subprocess.run([javac, "-d", root / "classes", source], check=True, env=environ)
    server = GitServer(f"git://{HOST}:{port}/{{}}.git", repositories, environ)
    with _serving(
        server,
        [command, "daemon", "--export-all", "--enable", "receive-pack", "--listen", HOST, "--port", str(port),
         str(repositories)],
        root / "log",
        {**environ, "JGIT_CLASSPATH": f"{root / 'classes'}:/usr/share/java/*"},
    ):  # fmt: skip
        yield server


# -- http -----------------------------------------------------------------------------------------------------

_NGINX = """
{user}
daemon off;
worker_processes 2;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {root}/body;
    fastcgi_temp_path {root}/fastcgi;
    proxy_temp_path {root}/proxy;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen {host}:{port};
        location / {{
            {auth}
            fastcgi_pass unix:{socket};
            fastcgi_read_timeout 300s;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {repositories};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""


@contextlib.contextmanager
def http(root: Path, *, private: bool = False) -> Iterator[GitServer]:
    """``git http-backend`` behind nginx; a private one wants :data:`USER` and :data:`PASSWORD`.

    The environment that it yields has no credentials: who pushes brings them, C git for example by
    ``GIT_ASKPASS`` or :func:`with_credentials`.
    """
    nginx, wrapper = program("nginx", package="nginx-light"), program("fcgiwrap", package="fcgiwrap")
    environ, repositories = hermetic(root), root / "repositories"
    (port,) = free_ports(1)
    backend = Path(git("--exec-path", environ=environ).strip()) / "git-http-backend"
    with contextlib.ExitStack() as stack:
        # The names of sockets may not be long, those of pytest's directories are.
        short = Path(stack.enter_context(_short_directory()))
        socket = short / "fcgi"
        passwords = root / "passwords"
        passwords.write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        auth = f'auth_basic "git"; auth_basic_user_file {passwords};' if private else ""
        config = root / "nginx.conf"
        config.write_text(
            _NGINX.format(
                user="user root;" if os.geteuid() == 0 else "", root=root, host=HOST, port=port, auth=auth,
                socket=socket, backend=backend, repositories=repositories,
            )
        )  # fmt: skip
        stack.enter_context(
            process([wrapper, "-f", "-c", "8", "-s", f"unix:{socket}"], root / "fcgi.log", environ, socket.exists)
        )
        clients = with_credentials(environ) if private else environ
        server = GitServer(f"http://{HOST}:{port}/{{}}.git", repositories, dict(clients))
        stack.enter_context(
            _serving(
                server,
                [nginx, "-c", str(config), "-p", str(root), "-e", str(root / "error.log")],
                root / "log",
                environ,
            )
        )
        server.environ = environ
        yield server


@contextlib.contextmanager
def _short_directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="artvc-", dir="/tmp", ignore_cleanup_errors=True) as path:
        yield path


def with_credentials(environ: Mapping[str, str], user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """The environment with a credential helper that knows a user and a password."""
    helper = f"!printf 'username={user}\\npassword={password}\\n'; :"
    return {**environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": helper}


# -- ssh ------------------------------------------------------------------------------------------------------

# SHLVL: bash would read .bashrc for every command of a login's first shell, which costs more than the command.
_SSHD = """
ListenAddress {host}:{port}
HostKey {root}/host_key
PidFile none
AuthorizedKeysFile {root}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
SetEnv SHLVL=2
MaxStartups 100
MaxSessions 100
PrintMotd no
"""


@contextlib.contextmanager
def ssh(
    root: Path, *, shell: str = "", repositories: Path | None = None, made: Callable[[str], None] | None = None
) -> Iterator[GitServer]:
    """sshd with keys and a configuration of its own; who logs in is the user that runs the tests.

    Args:
        root: a directory of its own.
        shell: a command that is run in place of what the client asks for, which is in ``SSH_ORIGINAL_COMMAND``.
        repositories: where they are, if clients name them without their path.
        made: see :class:`GitServer`.
    """
    sshd, keygen = program("sshd", package="openssh-server"), program("ssh-keygen", package="openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (port,) = free_ports(1)
    environ = hermetic(root)
    tail = "/{}" if repositories else f"{root / 'repositories'}/{{}}.git"
    for name in ("host_key", "client_key"):
        if not (root / name).exists():
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", root / name], check=True)
    command = 'cd "$HOME" && exec sh -c "$SSH_ORIGINAL_COMMAND"'
    start = root / "start"
    # The variables keep the user's own configuration out; sshd would take those of the login.
    kept = {name: environ[name] for name in ("HOME", "PATH", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "LC_ALL")}
    start.write_text(
        "#!/bin/sh\n"
        + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())
        + (shell or command)
        + "\n"
    )
    start.chmod(0o755)
    key = (root / "client_key.pub").read_text()
    (root / "authorized_keys").write_text(f'restrict,command="{start}" {key}')
    host_key = " ".join((root / "host_key.pub").read_text().split()[:2])
    (root / "known_hosts").write_text(f"[{HOST}]:{port} {host_key}\n")
    (root / "sshd_config").write_text(_SSHD.format(host=HOST, port=port, root=root))
    options = {
        "IdentityFile": root / "client_key",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": root / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    client = shlex.join(["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in options.items())])
    environ["GIT_SSH_COMMAND"] = client
    user = getpass.getuser()
    server = GitServer(f"ssh://{user}@{HOST}:{port}{tail}", repositories or root / "repositories", environ, made)
    with _serving(server, [sshd, "-D", "-e", "-f", str(root / "sshd_config")], root / "log", environ):
        yield server


@contextlib.contextmanager
def gitolite(root: Path) -> Iterator[GitServer]:
    """gitolite behind sshd.  It takes its home from the environment, so it needs no user of its own."""
    command = program("gitolite", package="gitolite3")
    home = root / "home"
    (home / ".ssh").mkdir(parents=True)
    environ = hermetic(home)
    keygen = program("ssh-keygen", package="openssh-client")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", root / "client_key"], check=True)
    shutil.copy(root / "client_key.pub", root / "admin.pub")
    _run([command, "setup", "-pk", str(root / "admin.pub")], environ)
    config = home / ".gitolite" / "conf" / "gitolite.conf"

    def made(name: str) -> None:
        with config.open("a") as out:
            out.write(f"\nrepo {name}\n    RW+ = @all\n")
        _run([command, "compile"], environ)

    shell = f"HOME={shlex.quote(str(home))} exec /usr/share/gitolite3/gitolite-shell admin"
    with ssh(root, shell=shell, repositories=home / "repositories", made=made) as server:
        yield server


@contextlib.contextmanager
def go_git(root: Path) -> Iterator[GitServer]:
    """go-git's upload-pack and receive-pack behind sshd: protocol v0 only, not atomic, nothing of C git in it."""
    command = program("go-git", package="go-git")
    # git-upload-pack '/path' becomes go-git upload-pack '/path'; git has quoted the path.
    shell = f'eval "set -- $SSH_ORIGINAL_COMMAND"\nexec {shlex.quote(command)} "${{1#git-}}" "$2"'
    with ssh(root, shell=shell) as server:
        yield server


def _run(command: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr}")


SERVERS: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[GitServer]]] = {
    "daemon": daemon,
    "http": http,
    "ssh": ssh,
    "gitolite": gitolite,
    "jgit": jgit,
    "go-git": go_git,
}
