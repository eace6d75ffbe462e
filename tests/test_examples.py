"""Every example and every snippet of the docs runs, offline, and says something; some ask a service of this machine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASKING = {"client.md", "migrate.md"}
"""Pages whose snippets ask the service at COPYKIT_URL; curl finds it in the place of the default address."""
SNIPPETS = [
    pytest.param(page.name in ASKING, kind, body, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (kind, body) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")), 1)
]


def offline(
    arguments: list[str], folder: Path, address: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process, of Python if it has no other name, in an empty folder with no keys in its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("API_KEY")}
    if address is not None:
        environment["COPYKIT_URL"] = address
    return subprocess.run(
        arguments if arguments[0] == "curl" else [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"},
        timeout=120,
    )


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Give the address of a service over the phrase bank, without a key."""
    from copykit import CopywritingServiceV11, Settings
    from copykit.server import ServerSettings, create_app
    from copykit.settings import RoutingSettings
    from serving import serving

    faces = CopywritingServiceV11(Settings(routing=RoutingSettings(("phrasebank",))))
    with serving(create_app(server=ServerSettings(), service=faces)) as address:
        yield address


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    """An example ends well, prints something and opens with one sentence; one that needs an extra names it."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""')
    if "copykit[server]" in text and find_spec("sse_starlette") is None:
        pytest.skip("needs the extra server")
    ended = offline([str(path)], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


@pytest.mark.parametrize(("asking", "kind", "body"), SNIPPETS)
def test_snippets_run(
    asking: bool, kind: str, body: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """
    A ```python block runs as it stands; in a ```console block every line that starts with "$ copykit" or "$ curl" does.
    """
    if asking and find_spec("sse_starlette") is None:
        pytest.skip("needs the extra server")
    address = request.getfixturevalue("service") if asking else None
    if kind == "python":
        script = tmp_path / "snippet.py"
        script.write_text(body, encoding="utf-8")
        ended = offline([str(script)], tmp_path, address)
        assert ended.returncode == 0, ended.stderr
        return
    (tmp_path / "products.csv").write_text(
        'id,title,description,price\n1,STIG,"Bar stool, 74 cm",69 EUR\n2,LUNA,"Table lamp, linen",35 EUR\n',
        encoding="utf-8",
    )
    for line in body.replace("\\\n", " ").splitlines():
        if line.startswith("$ copykit "):
            ended = offline(["-m", "copykit", *shlex.split(line[len("$ copykit ") :])], tmp_path, address)
        elif line.startswith("$ curl ") and address is not None:
            if shutil.which("curl") is None:
                pytest.skip("no curl here")
            asked = shlex.split(line[len("$ curl ") :].replace("http://localhost:8000", address))
            ended = offline(["curl", "--fail-with-body", "--silent", *asked], tmp_path)
        else:
            continue
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
