"""Random requests against a real server, made from its own description by schemathesis, with every check on.

    pip install -e ".[server,test]"
    python benchmarks/api_fuzz.py [--cases 1000] [--seed 1] [--phases examples,coverage,fuzzing]

Starts ``copykit run`` on a free port before a server on loopback that plays a model, and runs schemathesis over all
routes three times: with the key, without one, and on a server that wants none. What is counted as planned
stands in benchmarks/fuzzing/. Prints the number of cases and failures of each run; exit code 1 if one failed, or if
fewer cases were made than asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from copykit.testing.servers import Received, ScriptedServer, Step, answer

HERE = Path(__file__).parent / "fuzzing"
KEY = "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"
UNBOUNDED = '[server]\nrate = ""\nip_rate = ""\nfailure_rate = ""\n'
CASES = re.compile(r"^ +([\d,]+) generated(?:, ([\d,]+) found)?", re.MULTILINE)


def written(schema: dict[str, Any]) -> Any:
    """Give what an obedient model writes under *schema*."""
    kind = schema.get("type")
    if kind == "object":
        return {name: written(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [written(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
    return schema["enum"][0] if "enum" in schema else "Norr. Oak desk."


def model(received: Received) -> Step:
    """Answer as OpenAI's interface does, in the shape that is asked for."""
    asked = json.loads(received.body)
    schema = asked.get("response_format", {}).get("json_schema", {}).get("schema", {"type": "object"})
    message = {"role": "assistant", "content": json.dumps(written(schema))}
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return answer(
        json={"id": "1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
    )


@contextmanager
def upstream() -> Iterator[str]:
    """Run the model's server in a thread; gives its address."""
    begun, over = threading.Event(), threading.Event()
    where: list[str] = []

    async def serve() -> None:
        async with ScriptedServer(model) as server:
            where.append(server.url)
            begun.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    begun.wait()
    try:
        yield where[0]
    finally:
        over.set()
        thread.join()


@contextmanager
def served(model_url: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """Run copykit on a free port; gives its address and its log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COPYKIT_", "API_KEY"))}
    own = {"COPYKIT_PROVIDERS": "openai", "OPENAI_API_KEY": "sk-nobody", "OPENAI_BASE_URL": f"{model_url}/v1"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        Path(folder, "copykit.toml").write_text(UNBOUNDED)
        given = {**kept, **own, "COPYKIT_DATA_DIR": folder, **environment}
        with log.open("w") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "copykit", "run", "--port", "0", "--log-level", "warning"],
                cwd=folder,
                env=given,
                stderr=subprocess.PIPE,
                stdout=written,
                text=True,
            )
        assert process.stderr is not None
        try:
            found = next(
                (m for line in process.stderr if (m := re.search(r"http://[\w.:\[\]]+", line))), None
            )
            if found is None:
                raise SystemExit("the server did not begin")
            thread = threading.Thread(target=_copied, args=(process.stderr, log), daemon=True)
            thread.start()
            yield found.group(), log
        finally:
            process.terminate()
            process.wait(30)


def _copied(source: Any, log: Path) -> None:
    with log.open("a") as written:
        for line in source:
            written.write(line)
            written.flush()


def run(
    url: str, key: str, cases: int, seed: int, phases: str, prefixes: bool, wanted: bool
) -> tuple[int, int, str]:
    """Run schemathesis; gives its cases and failures, and all it said."""
    schemathesis = str(Path(sys.executable).with_name("schemathesis"))
    each = max(10, cases // 20)
    command = [
        schemathesis, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json",
        "--checks", "all", "-n", str(each), "--phases", phases, "--seed", str(seed),
        "--continue-on-failure", "--request-timeout", "30", "--no-color",
    ]  # fmt: skip
    if not prefixes:
        command += ["--exclude-path-regex", "^/copywriting/"]
    if not wanted:
        command += ["--exclude-checks", "ignored_auth"]  # there is none to be ignored
    if key:
        command += ["-H", f"X-API-Key: {key}"]
    given = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "checks.py")}
    with tempfile.TemporaryDirectory() as folder:  # it keeps what failed in its working folder
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=given)
    counted = CASES.search(done.stdout)
    made, failed = (int((part or "0").replace(",", "")) for part in counted.groups()) if counted else (0, 1)
    if done.returncode and not failed:
        failed = 1
    return made, failed, done.stdout + done.stderr


def main() -> int:
    """Run all three; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default="examples,coverage,fuzzing")
    parser.add_argument("--prefixes", action="store_true", help="under /copywriting too: the same handlers")
    given = parser.parse_args()
    bad = 0
    with upstream() as model_url:
        for what, environment, key in (
            ("with the key", {"API_KEY": KEY}, KEY),
            ("without a key", {"API_KEY": KEY}, ""),
            ("where no key is wanted", {}, ""),
        ):
            with served(model_url, **environment) as (url, log):
                made, failed, told = run(
                    url, key, given.cases, given.seed, given.phases, given.prefixes, bool(environment)
                )
                leaked = KEY in log.read_text()
                traces = log.read_text().count("Traceback")
            print(f"{what}: {made} cases, {failed} failures, {traces} tracebacks in the log")
            if failed or traces or leaked or made < given.cases:
                bad = 1
                print(told, log.read_text() if log.exists() else "", sep="\n")
    return bad


if __name__ == "__main__":
    sys.exit(main())
