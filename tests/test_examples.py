"""Every example and every Python snippet of the docs runs, offline, and says something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(kind, body, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (kind, body) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")), 1)
]


def offline(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python process in an empty folder with no keys in its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONIOENCODING": "utf-8", "COLUMNS": "120"},
        timeout=120,
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    """An example ends well, prints something and opens with one sentence."""
    assert path.read_text(encoding="utf-8").startswith('"""')
    ended = offline([str(path)], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


@pytest.mark.parametrize(("kind", "body"), SNIPPETS)
def test_snippets_run(kind: str, body: str, tmp_path: Path) -> None:
    """
    A ```python block runs as it stands; in a ```console block every line that starts with "$ copykit" does.
    """
    if kind == "python":
        script = tmp_path / "snippet.py"
        script.write_text(body, encoding="utf-8")
        ended = offline([str(script)], tmp_path)
        assert ended.returncode == 0, ended.stderr
        return
    (tmp_path / "products.csv").write_text(
        'id,title,description,price\n1,STIG,"Bar stool, 74 cm",69 EUR\n2,LUNA,"Table lamp, linen",35 EUR\n',
        encoding="utf-8",
    )
    for line in body.replace("\\\n", " ").splitlines():
        if line.startswith("$ copykit "):
            import shlex

            ended = offline(["-m", "copykit", *shlex.split(line[len("$ copykit ") :])], tmp_path)
            assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
