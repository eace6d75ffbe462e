"""The container's entrypoint, for real: as an unprivileged user on a read-only root where one can be made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sse_starlette", reason="needs the extra server")

import httpx2

from front import DEPLOY, answers, environment, free_port, patient

ENTRYPOINT = DEPLOY / "entrypoint"
REPOSITORY = DEPLOY.parent
PROGRAMS = Path(sys.prefix) / "bin"
KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
BRIEF = {"product_name": "Norr", "product_description": "Oak desk, oiled by hand", "target_platform": "x"}

pytestmark = pytest.mark.skipif(
    os.name != "posix" or not (PROGRAMS / "copykit").exists(), reason="needs copykit installed as a command"
)


def _no_container() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux makes a container by hand"
    if not all(shutil.which(tool) for tool in ("unshare", "setpriv", "chroot")):
        return "unshare, setpriv or chroot is missing"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no mount namespaces here: {tried.stderr.strip()}"


contained = pytest.mark.skipif(bool(_no_container()), reason=_no_container() or "it can be made")


def plain(folder: Path, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Run the entrypoint as this user, on this machine as it is."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(ENTRYPOINT), *words],
        env={**environment(folder, **given), "PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Container:
    """The entrypoint as user 10001, without capabilities, where only /data and /tmp can be written."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.root, self.data = folder / "root", folder / "data"
        self.root.mkdir()
        self.data.mkdir(mode=0o700)
        os.chown(self.data, 10001, 10001)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str, cpu: str, memory: str, **given: str) -> list[str]:
        """Give the command that runs the entrypoint inside."""
        script = REPOSITORY / "tests" / "contained.sh"
        shown = {str(Path(folder).resolve()) for folder in (sys.base_prefix, sys.prefix, REPOSITORY)}
        told = {
            "PATH": f"{PROGRAMS}:/usr/bin:/bin",
            "PYTHONPATH": str(REPOSITORY / "src"),
            "COPYKIT_PROVIDERS": "phrasebank",
            **given,
        }
        return [
            *("unshare", "--mount", "sh", str(script), str(self.root), str(self.data), cpu, memory),
            *(*sorted(shown), "--", *(f"{name}={value}" for name, value in told.items())),
            *(str(ENTRYPOINT), *words),
        ]

    def start(self, *words: str, **given: str) -> None:
        """Serve, and wait until it answers."""
        command = self.command(*words, **given)
        log = self.folder / "log"
        with log.open("ab") as written:
            self.process = subprocess.Popen(command, stdout=written, stderr=written)
        patient(lambda: answers(f"http://127.0.0.1:{self.port}/health/ready"), self.process, log)

    @property
    def log(self) -> str:
        """Give all that it wrote."""
        return (self.folder / "log").read_text()


@pytest.fixture
def container() -> Iterator[Container]:
    """One container, taken apart at the end; its folder is open to all, as the tests' own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Container(Path(folder))
        yield made
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@contained
def test_it_serves_as_nobody_on_a_read_only_root(container: Container) -> None:
    """
    User 10001 with no capability and no way to gain one; copy is written, the key of a file is asked for and stands in
    no command line, workers follow the processors that the cgroup grants, and SIGTERM ends it with 0.
    """
    secret = container.data / "api_key"
    secret.write_text(KEY + "\n")
    secret.chmod(0o440)
    os.chown(secret, 0, 10001)
    port = str(container.port)
    container.start(
        *("run", "--port", port),
        cpu="250000 100000",
        memory=str(2**31),
        API_KEY_FILE="/data/api_key",
        COPYKIT_LOG_FORMAT="json",
    )
    assert container.process is not None
    address = f"http://127.0.0.1:{port}"
    assert httpx2.post(f"{address}/v11/generate", json=BRIEF, trust_env=False).status_code == 401
    headers = {"x-api-key": KEY}
    told = httpx2.post(f"{address}/v11/generate", json=BRIEF, headers=headers, timeout=30, trust_env=False)
    assert told.status_code == 200
    process = Path("/proc") / str(container.process.pid)
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert KEY.encode() not in (process / "cmdline").read_bytes()
    until = time.monotonic() + 30
    while '"listening"' not in container.log and time.monotonic() < until:  # once the last worker serves
        time.sleep(0.1)
    first, *rest = [json.loads(line) for line in container.log.splitlines()]
    assert {"timestamp", "level", "logger", "event"} <= set.intersection(*map(set, [first, *rest]))
    listening = next(line for line in rest if line["event"] == "listening")
    assert (listening["workers"], listening["authentication"]) == (2, True)
    assert listening["store"] == "sqlite:////data/server.sqlite"
    jemalloc = list(Path("/usr/lib").glob("*/libjemalloc.so.2"))
    told = {"workers": 2, "allocator": "jemalloc" if jemalloc else "malloc", "user": 10001}
    assert told.items() <= first.items()
    assert ("libjemalloc" in (process / "maps").read_text()) == bool(jemalloc)
    assert KEY not in container.log
    container.process.send_signal(signal.SIGTERM)
    assert container.process.wait(30) == 0


@contained
@pytest.mark.parametrize(
    ("cpu", "memory", "workers"),
    [
        ("100000 100000", "max", 1),
        ("50000 100000", "max", 1),
        ("800000 100000", "max", 8),
        ("800000 100000", str(512 * 2**20), 2),
        ("max 100000", "max", 1),
    ],
)
def test_workers_follow_what_the_cgroup_grants(
    container: Container, cpu: str, memory: str, workers: int
) -> None:
    """Whole processors, at most one for each 256 MiB, at least one; one where nothing is bounded."""
    told = subprocess.run(
        container.command("run", "--help", cpu=cpu, memory=memory), capture_output=True, text=True, timeout=60
    )
    assert told.stderr.startswith(f"entrypoint: workers {workers}, ")


@contained
def test_a_folder_that_cannot_be_written_is_one_line(container: Container) -> None:
    """78, with the user and what to do, and what else is wrong."""
    os.chown(container.data, 0, 0)
    told = subprocess.run(
        container.command(cpu="max 100000", memory="max", TMPDIR="/nowhere"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 78
    *fitted, line = told.stderr.splitlines()
    assert len(fitted) == 1
    for part in ("COPYKIT_DATA_DIR: /data: no right to write there", "TMPDIR=/nowhere: user 10001"):
        assert part in line


def test_a_look_tells_every_mistake_at_once(tmp_path: Path) -> None:
    """``entrypoint check``: folders, keys' files and settings together, each a line, no key in any; 0 where all is well."""
    open_file = tmp_path / "key"
    open_file.write_text(KEY)
    open_file.chmod(0o644)
    told = plain(
        tmp_path,
        "check",
        API_KEY_FILE=str(open_file),
        COPYKIT_DRAIN_S="-1",
        COPYKIT_DATA_DIR=str(open_file / "data"),
    )
    assert told.returncode == 78
    lines = told.stderr.splitlines()
    assert told.stdout == ""
    assert all(line.startswith("copykit: ") for line in lines)
    for wanted in ("COPYKIT_DATA_DIR", "API_KEY_FILE: ", "server.drain_s"):
        assert sum(wanted in line for line in lines) == 1, told.stderr
    assert "chmod o=" in told.stderr
    assert KEY not in told.stderr
    open_file.chmod(0o400)
    fine = plain(tmp_path, "check", API_KEY_FILE=str(open_file), COPYKIT_HOST="0.0.0.0")  # noqa: S104  # nothing listens
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.startswith("nothing is wrong; copykit run would listen on 0.0.0.0:8000\n")


def test_wrong_settings_end_it_with_78(tmp_path: Path) -> None:
    """The server's own status reaches whoever started the container."""
    told = plain(tmp_path, COPYKIT_PROVIDES="phrasebank")
    assert told.returncode == 78
    assert "nearest: COPYKIT_PROVIDERS" in told.stderr


def test_other_verbs_go_to_copykit(tmp_path: Path) -> None:
    """``entrypoint health`` asks a server, with the status that the verb has."""
    told = plain(tmp_path, "health", "--url", "http://127.0.0.1:9")
    assert told.returncode == 1
    assert "unreachable" in told.stdout
