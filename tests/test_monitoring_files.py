"""Alert rules and dashboards: read by their checkers, and held to what the service really tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra server")
pytest.importorskip("yaml", reason="PyYAML reads the files; it comes with deploy-checks")

import yaml

from copykit.server.watch.figures import FIGURES

ROOT = Path(__file__).parents[1]
HERE = ROOT / "deploy" / "monitoring"
DASHBOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))
RULES = [
    rule for group in yaml.safe_load((HERE / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
TOLD = {
    name
    for figure in FIGURES
    for name in (
        (f"{figure.name}_bucket", f"{figure.name}_sum", f"{figure.name}_count")
        if figure.kind == "histogram"
        else (figure.told_as,)
    )
}
"""Every series that a scrape can hold, by name."""
LABELS = set(chain.from_iterable(figure.labels for figure in FIGURES)) | {"le", "job", "instance"}


def queries(board: Path) -> list[tuple[str, str]]:
    """Give the queries of a dashboard with the type of what they ask."""
    told = json.loads(board.read_text(encoding="utf-8"))
    return [
        (target["datasource"]["type"], target["expr"])
        for panel in told["panels"]
        for target in panel.get("targets", ())
    ]


def series(query: str) -> set[str]:
    """Give the names of copykit's own series in *query*."""
    return set(re.findall(r"\bcopykit_[a-z0-9_]+", query))


def labels(query: str) -> set[str]:
    """Give the labels that *query* selects or groups by."""
    selected = re.findall(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"', query)
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    return set(selected) | {name.strip() for group in grouped for name in group.split(",")}


def promtool(*words: str) -> str:
    """Run promtool beside the files; its findings fail."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    done = subprocess.run([tool, *words], cwd=HERE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_reads_its_files() -> None:
    """`promtool` checks rules and configuration; the secret and the rules' place are the container's."""
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_every_alert_is_quiet_and_fires_when_it_should() -> None:
    """Each has both in `rules_test.yml`, with the words that somebody will read."""
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")
    tried: dict[str, list[int]] = {}
    for test in yaml.safe_load((HERE / "rules_test.yml").read_text())["tests"]:
        for one in test["alert_rule_test"]:
            tried.setdefault(one["alertname"], []).append(len(one["exp_alerts"]))
    assert set(tried) == {rule["alert"] for rule in ALERTS}
    assert all(0 in counts and max(counts) > 0 for counts in tried.values())


def test_rules_ask_for_what_is_told() -> None:
    """Every series and label in a rule is one of the table's, every recorded one is recorded."""
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    for rule in RULES:
        assert series(rule["expr"]) <= TOLD, rule
        assert set(re.findall(r"\bcopykit:[a-z0-9_:]+", rule["expr"])) <= recorded, rule
        assert labels(rule["expr"]) <= LABELS, rule


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    """A severity, a summary, a description, and a line of the runbook under its name."""
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket", "info")
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_runbook_has_a_heading_for_every_alert() -> None:
    """Whose anchor is the alert's name, and for no alert that there is not."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ (Copykit\w+)$", text, re.MULTILINE))
    assert headings == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize(
    "what",
    [
        "copykit_resident_memory_bytes",
        'status=~"5.."',
        "offset 1d",
        "copykit_optimization_recommendations",
    ],
)
def test_the_four_alerts_of_the_specification_are_there(what: str) -> None:
    """Memory, errors, performance that gets worse, and libraries that are missing."""
    assert any(what in rule["expr"] for rule in RULES)


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_what_is_told(board: Path) -> None:
    """Every series and label is one of the table's; every panel has a title, a place of its own and a unit."""
    for kind, query in queries(board):
        if kind == "prometheus":
            assert series(query), query
            assert series(query) <= TOLD, query
            assert labels(query) <= LABELS, query
    told: dict[str, Any] = json.loads(board.read_text(encoding="utf-8"))
    cells: set[tuple[int, int]] = set()
    for panel in told["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own


def test_queries_of_dashboards_are_prometheus_own_language(tmp_path: Path) -> None:
    """Each parses: as a rule, since promtool reads those."""
    rules = [
        {"record": f"copykit:panel:{number}", "expr": query.replace("$job", "copykit")}
        for number, query in enumerate(
            q for board in DASHBOARDS for kind, q in queries(board) if kind == "prometheus"
        )
    ]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_dashboards_have_their_own_ids() -> None:
    """Of boards and of panels, over all of them; and all ask the sources that are provisioned."""
    boards = [json.loads(board.read_text(encoding="utf-8")) for board in DASHBOARDS]
    uids = [board["uid"] for board in boards]
    ids = [panel["id"] for board in boards for panel in board["panels"]]
    assert len(uids) == len(set(uids)) == 3
    assert len(ids) == len(set(ids))
    provisioned = yaml.safe_load((HERE / "grafana/provisioning/datasources/copykit.yml").read_text())
    known = {source["uid"] for source in provisioned["datasources"]}
    asked = {
        panel["datasource"]["uid"] for board in boards for panel in board["panels"] if "datasource" in panel
    }
    assert asked == known


def test_every_figure_is_shown_somewhere() -> None:
    """What is counted and in no dashboard and no rule would be counted for nobody."""
    shown = set().union(*(series(q) for board in DASHBOARDS for _, q in queries(board)))
    shown |= set().union(*(series(rule["expr"]) for rule in RULES))
    missing = [figure.name for figure in FIGURES if not any(name.startswith(figure.name) for name in shown)]
    assert missing == []


def test_the_log_line_is_what_the_collector_looks_for() -> None:
    """Its pattern fits a line as the server writes it, and not a line of anybody else."""
    pytest.importorskip("structlog", reason="needs the extra server")
    import io
    import logging

    from copykit.server.watch import logs

    config = (HERE / "alloy.config").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"!~ `([^`]+)`", config)
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    quiet = {name: logging.getLogger(name).level for name in (*logs._QUIET, *logs._OWN)}
    try:
        root.handlers[:] = []
        logs.configure("json", "info", stream=stream, environment={})
        logging.getLogger("copykit.server").warning("words")
        logs.tell(logging.getLogger("copykit.access"), "request", {"status": 200})
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)
        for name, was in quiet.items():
            logging.getLogger(name).setLevel(was)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(re.match(pattern.replace("\\\\", "\\").replace('\\"', '"'), line) for line in lines)
    assert not re.match(pattern.replace("\\\\", "\\").replace('\\"', '"'), '{"msg":"another service"}')


def test_figures_of_the_document_are_those_of_the_table() -> None:
    """`docs/monitoring.md` names every figure with its labels, and no other."""
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = "".join(
        line for line in text.splitlines() if re.match(r"\| (requests|providers|cache|system|opti)", line)
    )
    named = dict(re.findall(r"`(copykit_\w+)(?:\{([^}]*)\})?`", rows))
    assert named == {figure.told_as: ", ".join(figure.labels) for figure in FIGURES}
