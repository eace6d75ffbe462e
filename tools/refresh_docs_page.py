"""Bring Swagger UI's files for the page at /docs: python tools/refresh_docs_page.py [version]; needs npm.

Takes the release from npm, whose client checks it against the registry's digest, and copies what the page loads,
unchanged, with its licences.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

PACKAGE = "swagger-ui-dist"
HOME = Path(__file__).parent.parent / "src" / "copykit" / "data" / "docs_page"
WANTED = {
    "swagger-ui-bundle.js": "swagger-ui-bundle.js",
    "swagger-ui.css": "swagger-ui.css",
    "LICENSE": "swagger-ui-LICENSE.txt",
    "NOTICE": "swagger-ui-NOTICE.txt",
    "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle-LICENSES.txt",
}


def main(version: str) -> None:
    """Copy the files of *version* and write down what they are."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [npm, "pack", f"{PACKAGE}@{version}", "--json"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        (packed,) = json.loads(told)
        with tarfile.open(Path(folder) / packed["filename"]) as archive:
            archive.extractall(folder, filter="data")
        lines = []
        for name, ours in WANTED.items():
            content = (Path(folder) / "package" / name).read_bytes()
            (HOME / ours).write_bytes(content)
            lines.append(f'"{ours}" = "{sha256(content).hexdigest()}"')
    source = f'package = "{PACKAGE}"\nversion = "{packed["version"]}"\nlicense = "Apache-2.0"\n'
    source += f'taken = "{datetime.now(UTC):%Y-%m-%d}"\nintegrity = "{packed["integrity"]}"\n'
    head = "# What tools/refresh_docs_page.py brought from npm, and the SHA-256 of each file.\n"
    (HOME / "source.toml").write_text(
        f"{head}{source}\n[sha256]\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    print(f"{PACKAGE} {packed['version']}: {', '.join(WANTED.values())}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "5")
