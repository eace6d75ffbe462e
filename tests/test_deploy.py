"""The files of ``deploy/``: each read by the checker of its kind, and held to what copykit itself says."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("yaml", reason="needs PyYAML, as the extra deploy-checks brings it")
pytest.importorskip("sse_starlette", reason="needs the extra server")

import yaml

from copykit.server import ServerSettings
from copykit.server.routes import ROUTES
from copykit.settings import Settings
from front import DEPLOY, environment

REPOSITORY = DEPLOY.parent
SETTINGS = ServerSettings()
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)
PUBLIC = {route.path for route in ROUTES if route.scope == "public"}
MERCY_S = 5
"""Seconds that a server may take beyond its drain."""


def tool(name: str) -> str:
    """Give a checker's path, or skip."""
    found = shutil.which(name, path=f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed: pip install 'copykit[deploy-checks]'")
    return found


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a checker."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=REPOSITORY, **more)


@cache
def compose() -> dict[str, Any]:
    """Give compose.yaml, anchors laid out."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


@cache
def kubernetes() -> dict[str, Any]:
    """Give the manifests by kind."""
    return {one["kind"]: one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())}


def pod() -> dict[str, Any]:
    """Give the deployment's pod."""
    return dict(kubernetes()["Deployment"]["spec"]["template"]["spec"])


def container() -> dict[str, Any]:
    """Give its only container."""
    (only,) = pod()["containers"]
    return dict(only)


@cache
def dockerfile() -> str:
    """Give the last stage of the image file, which is what runs."""
    return (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]


def variables() -> dict[str, dict[str, str]]:
    """Give what each file sets, its own secrets' files aside."""
    image = dict(re.findall(r"(COPYKIT_\w+)=(\S+)", dockerfile()))
    service = {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        for name, text in compose()["services"]["copywriting-service"]["environment"].items()
    }
    told = {one["name"]: one["value"] for one in container()["env"] if "value" in one}
    cluster = {**kubernetes()["ConfigMap"]["data"], **told}
    return {"image": image, "compose": {**image, **service}, "kubernetes": {**image, **cluster}}


def test_a_budget_is_for_a_month_of_all_copies_and_starts() -> None:
    """A cap that each copy and each restart had anew would be none: every way to run it names the period."""
    assert {variables()[name].get("COPYKIT_BUDGET_PER") for name in ("compose", "kubernetes")} == {"month"}
    assert "\nEnvironment=COPYKIT_BUDGET_PER=month\n" in (DEPLOY / "systemd" / "copykit.service").read_text()


def test_the_example_of_a_store_is_one_that_the_network_policy_lets_out_to() -> None:
    """Its host is a service of the pods' own namespace, where the database's port is open; so is the limiter's."""
    policy, settings = kubernetes()["NetworkPolicy"], kubernetes()["ConfigMap"]
    example = (DEPLOY / "kubernetes" / "secret.example.yaml").read_text()
    for address in (
        re.search(r"postgresql://\S+", example),
        re.match(".*", settings["data"]["COPYKIT_LIMITS_URL"]),
    ):
        assert address is not None
        name, _, rest = str(urlsplit(address[0]).hostname).partition(".")
        assert rest == f"{policy['metadata']['namespace']}.svc.cluster.local"
        assert [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}] in [
            rule["to"] for rule in policy["spec"]["egress"]
        ]


def test_the_image_file_has_no_findings() -> None:
    """hadolint, whose only exceptions stand in the file with their reason; it does find what is wrong."""
    hadolint = tool("hadolint")
    told = run(hadolint, str(DEPLOY / "Dockerfile"))
    assert (told.returncode, told.stdout) == (0, "")
    canary = run(hadolint, "-", input="FROM python\nRUN sudo pip install x\n")
    assert canary.returncode != 0


def test_scripts_have_no_findings() -> None:
    """shellcheck on all that a shell runs."""
    scripts = [DEPLOY / "entrypoint", DEPLOY / "prepare", REPOSITORY / "tests" / "contained.sh"]
    told = run(tool("shellcheck"), *map(str, scripts), str(REPOSITORY / ".ci" / "run"))
    assert (told.returncode, told.stdout) == (0, "")
    assert all(script.read_text().startswith("#!/bin/sh\n") for script in scripts)


@pytest.mark.parametrize("profiles", [(), ("monitoring",), ("logging",), ("monitoring", "logging")])
def test_compose_takes_its_file(profiles: tuple[str, ...]) -> None:
    """``docker-compose config``, with every set of profiles."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    told = run(
        tool("docker-compose"), "-f", str(DEPLOY / "compose.yaml"), *chosen, "config", "--format", "json"
    )
    assert told.returncode == 0, told.stderr
    services = json.loads(told.stdout)["services"]
    assert {"copywriting-service", "nginx", "valkey"} <= set(services)


def test_compose_refuses_a_misspelt_name(tmp_path: Path) -> None:
    """So its silence says something."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("stop_grace_period", "stop_grace_perod"))
    told = run(tool("docker-compose"), "-f", str(wrong), "config")
    assert told.returncode != 0
    assert "stop_grace_perod" in told.stderr


def test_the_service_can_be_scaled() -> None:
    """``--scale copywriting-service=3``: it has neither a port of the host nor a fixed name; nginx alone is published."""
    published = {name for name, service in compose()["services"].items() if "ports" in service}
    assert "copywriting-service" not in published
    assert not any("container_name" in service for service in compose()["services"].values())
    assert "nginx" in published
    for name in published - {"nginx"}:
        assert all(port.startswith("127.0.0.1:") for port in compose()["services"][name]["ports"]), name
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
    assert f"server copywriting-service:{SETTINGS.port} resolve" in upstream


def test_every_container_is_bounded_and_without_privileges() -> None:
    """Read-only, no capability, none to be gained, a user of its own, with limits and a check of its health."""
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert "privileged" not in service, name
        added = {"collector": ["DAC_READ_SEARCH"]}  # it reads what the engine wrote as root
        assert service.get("cap_add", []) == added.get(name, []), name
        assert not any("docker.sock" in volume for volume in service.get("volumes", [])), name
    assert int(re.search(r"USER (\d+)", dockerfile())[1]) >= 10_000  # type: ignore[index]
    for name in set(compose()["services"]) - {"copywriting-service", "collector"}:
        assert int(compose()["services"][name]["user"].partition(":")[0]) >= 10_000, name
    for name in ("copywriting-service", "nginx", "valkey"):
        assert "healthcheck" in compose()["services"][name], name


def test_what_is_mounted_is_there() -> None:
    """Each file that compose binds exists, or is one that ``deploy/prepare`` makes."""
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
    made = (DEPLOY / "prepare").read_text()
    for secret in compose()["secrets"].values():
        assert Path(secret["file"]).name in made
    assert set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text())) == set(
        re.findall(r"(?m)^(\w+)=", (DEPLOY / "env.example").read_text())
    )


@pytest.mark.parametrize("where", ["image", "compose", "kubernetes"])
def test_copykit_knows_what_the_files_set(where: str, tmp_path: Path) -> None:
    """Each variable is one that it reads, with a value that it takes; secrets come from files only."""
    given = variables()[where]
    for name in list(given):
        if name.endswith("_FILE"):
            file = tmp_path / name
            file.write_text("" if name.startswith(("OPENAI", "GOOGLE", "ANTHROPIC", "OPENROUTER")) else "x")
            file.chmod(0o440)
            given[name] = str(file)
    for name, text in (
        ("API_KEY_FILE", "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w"),
        ("COPYKIT_KEY_PEPPER_FILE", "vB8-n2KfYq0sLz5TjW7xRd1Ec4HmUg9PaO3i"),
        ("COPYKIT_STORE_URL_FILE", "postgresql://copykit:canary@db.example/copykit\n"),
    ):
        if name in given:
            Path(given[name]).chmod(0o640)
            Path(given[name]).write_text(text)
    Settings.from_env(given)
    server = ServerSettings.from_env(
        {"API_KEY": "Zk3v9QwRt7Yp2LmX8sBd4FhJ6nCgA1eU_w", **given} if where == "image" else given
    )
    assert (server.host, server.port, server.data_dir) == ("0.0.0.0", SETTINGS.port, "/data")  # noqa: S104
    assert server.log_format == "json"
    assert server.drain_delay_s == 5
    if where == "kubernetes":
        assert server.store_url == "postgresql://copykit:canary@db.example/copykit"
        assert server.allowed_hosts == ("copy.example.com", "copywriting-service")
    if where != "image":
        assert server.limits_url
        assert server.trusted_proxies
        assert not any(name.endswith("_KEY") for name in given)


def test_there_is_time_to_drain() -> None:
    """Whoever stops a server waits longer than it needs: its delay, its drain, and what the way out takes beyond it."""
    drain_s = SETTINGS.drain_s + float(variables()["image"]["COPYKIT_DRAIN_DELAY_S"]) + MERCY_S
    assert int(compose()["services"]["copywriting-service"]["stop_grace_period"].removesuffix("s")) >= drain_s
    assert float(kubernetes()["ConfigMap"]["data"]["COPYKIT_DRAIN_S"]) == SETTINGS.drain_s
    sleeps = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert sleeps == ["sleep", "5"]
    assert pod()["terminationGracePeriodSeconds"] == 45 >= drain_s + int(sleeps[1])
    assert container()["readinessProbe"]["periodSeconds"] == 2


def test_probes_ask_public_routes() -> None:
    """No key is in any probe, and each asks a path of the route table at the service's own port."""
    probes = {
        name: container()[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {probe["path"] for probe in probes.values()} == {"/health/live", "/health/ready"} <= PUBLIC
    assert probes["livenessProbe"]["path"] == "/health/live"
    assert container()["ports"] == [{"name": "http", "containerPort": SETTINGS.port, "protocol": "TCP"}]
    assert kubernetes()["Service"]["spec"]["ports"][0]["port"] == SETTINGS.port
    check = compose()["services"]["copywriting-service"]["healthcheck"]["test"]
    assert f"http://127.0.0.1:{SETTINGS.port}/health/live" in check[-1]
    assert re.search(r"HEALTHCHECK .*\n.*'/health/live'", dockerfile())
    assert f"EXPOSE {SETTINGS.port}\n" in dockerfile()
    annotations = kubernetes()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in {route.path for route in ROUTES}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_fits_its_schema(path: Path) -> None:
    """kubernetes-validate, strictly: a name that the API does not know is a finding."""
    checker = pytest.importorskip("kubernetes_validate", reason="needs the extra deploy-checks")
    for one in yaml.safe_load_all(path.read_text()):
        checker.validate(one, "1.34", strict=True)
        with pytest.raises(checker.ValidationError):
            checker.validate({**one, "metdata": {}}, "1.34", strict=True)


def test_kustomize_puts_them_together() -> None:
    """All manifests but the examples, whose values are yours; the image is named in one place."""
    kubectl = shutil.which("kubectl")
    if kubectl is None or (told := run(kubectl, "kustomize", str(DEPLOY / "kubernetes"))).returncode == 127:
        pytest.skip("kubectl is not installed")
    assert told.returncode == 0, told.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(told.stdout)]
    assert sorted(kinds) == sorted(set(kubernetes()) - {"Secret", "Ingress"})
    assert f"image: registry.example.com/copykit@sha256:{'0' * 64}" in told.stdout


def test_pods_are_restricted() -> None:
    """What the profile `restricted` asks for, no token of the API, and the image's own user."""
    whole, own = pod()["securityContext"], container()["securityContext"]
    user = int(re.search(r"USER (\d+)", dockerfile())[1])  # type: ignore[index]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] == whole["runAsGroup"] == whole["fsGroup"] == user
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert kubernetes()["ServiceAccount"]["automountServiceAccountToken"] is False
    assert container()["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "1000m", "memory": "2Gi"},
    }


def test_three_pods_of_which_two_always_serve() -> None:
    """Replicas, the budget of disruptions and the way of an update go together, and labels name the same pods."""
    spec = kubernetes()["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] == 3 == kubernetes()["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert 1 <= kubernetes()["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
    wanted = spec["selector"]["matchLabels"]
    assert wanted.items() <= labels.items()
    assert kubernetes()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == wanted
    assert kubernetes()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == wanted
    assert kubernetes()["Service"]["spec"]["selector"] == wanted
    policy = kubernetes()["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "169.254.0.0/16" in policy["egress"][-1]["to"][0]["ipBlock"]["except"]


def test_nginx_has_the_servers_own_bounds() -> None:
    """Sizes and times in nginx.conf are those of `ServerSettings`; what it waits for is a little more than they are."""
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()

    def told(name: str) -> list[str]:
        return re.findall(rf"(?m)^ +{name} ([^;]+);", text)

    size = {"k": 1024, "m": 1024**2}
    assert [int(value[:-1]) * size[value[-1]] for value in told("client_max_body_size")] == [
        SETTINGS.max_body,
        SETTINGS.max_batch_body,
    ]
    count, _, each = told("large_client_header_buffers")[0].partition(" ")
    assert int(count) * int(each.removesuffix("k")) * 1024 == SETTINGS.max_header_bytes
    assert {float(value.removesuffix("s")) for value in told("client_header_timeout")} == {SETTINGS.header_s}
    assert told("client_body_timeout") == [f"{SETTINGS.body_s:g}s"]
    assert float(told("proxy_read_timeout")[0].removesuffix("s")) > SETTINGS.longest_s
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
    delay_s = float(variables()["image"]["COPYKIT_DRAIN_DELAY_S"])
    for name in (r"fail_timeout=(\d+)s", r"keepalive_timeout (\d+)s"):
        (told_s,) = map(float, re.findall(name, upstream))
        assert told_s < delay_s
        assert told_s < SETTINGS.keep_alive_s
    problems = (DEPLOY / "nginx" / "problems.conf").read_text()
    assert f"at most {SETTINGS.max_body} bytes, a batch {SETTINGS.max_batch_body}" in problems
    assert f"at most {SETTINGS.max_header_bytes} bytes of headers" in problems


def test_the_ingress_bounds_as_nginx_does() -> None:
    """Its example lets through what copykit takes and waits as long; its host is among those that are served."""
    ingress = kubernetes()["Ingress"]
    prefix = "nginx.ingress.kubernetes.io/"
    told = {name.removeprefix(prefix): text for name, text in ingress["metadata"]["annotations"].items()}
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()
    assert f"client_max_body_size {told['proxy-body-size']};" in text
    assert f"proxy_read_timeout {told['proxy-read-timeout']}s;" in text
    assert f"proxy_connect_timeout {told['proxy-connect-timeout']}s;" in text
    assert f"proxy_next_upstream {told['proxy-next-upstream']};" in text
    assert told["proxy-buffering"] == "off"
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] in kubernetes()["ConfigMap"]["data"]["COPYKIT_ALLOWED_HOSTS"].split(",")
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = kubernetes()["Service"]
    assert backend == {
        "name": service["metadata"]["name"],
        "port": {"name": service["spec"]["ports"][0]["name"]},
    }


def test_the_unit_is_one_and_gives_little_away(tmp_path: Path) -> None:
    """systemd reads it without a word, calls its exposure low, waits as long as a drain takes; its settings are known."""
    text = (DEPLOY / "systemd" / "copykit.service").read_text()
    given = {
        name: value
        for name, value in re.findall(r"(?m)^Environment=(\w+)=(\S+)$", text)
        if not name.endswith("_FILE")
    }
    server = ServerSettings.from_env(given)
    stops = re.search(r"TimeoutStopSec=(\d+)", text)
    assert stops is not None
    assert int(stops[1]) >= server.drain_delay_s + server.drain_s + MERCY_S
    assert "RestartPreventExitStatus=78\n" in text
    handed = {path.rpartition("/")[2] for path in re.findall(r"=%d/(\w+)", text)}
    assert handed == set(re.findall(r"LoadCredential=(\w+):", text))
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "copykit.service"
    unit.write_text(text.replace("/opt/copykit/bin/copykit", sys.executable))
    told = run(analyze, "verify", str(unit))
    assert (told.returncode, told.stderr) == (0, "")
    exposed = run(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", str(unit))
    assert exposed.returncode == 0, exposed.stdout[-300:]


def test_the_image_can_be_built_from_what_is_here() -> None:
    """What it copies exists and is let through, extras and version are the package's, the base has a digest."""
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    whole = (DEPLOY / "Dockerfile").read_text()
    extras = re.search(r"ARG EXTRAS=(\S+)", whole)[1].split(",")  # type: ignore[index]
    assert set(extras) <= set(project["optional-dependencies"])
    assert "server" in extras
    assert f"ARG VERSION={project['version']}" in whole
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for sources in re.findall(r"(?m)^COPY (?!--from)(?:--\S+ )*(.+) \S+$", whole):
        for source in sources.split():
            path = source.removeprefix("./")
            assert (REPOSITORY / path).exists()
            assert f"!{path}" in ignored
    assert all("@${PYTHON_DIGEST}" in line for line in re.findall(r"(?m)^FROM .*$", whole))
    assert re.search(r"pip uninstall --yes pip\b", dockerfile())
    assert f"copykit:${{COPYKIT_VERSION:-{project['version']}}}" in (DEPLOY / "compose.yaml").read_text()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_prepare_makes_what_compose_mounts(tmp_path: Path) -> None:
    """
    Keys with 256 bits that nobody else reads, a certificate of the host, and .env; what is there is left alone. With
    them `entrypoint check` finds nothing wrong in what compose sets.
    """
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    for name in ("prepare", "env.example"):
        shutil.copy(DEPLOY / name, deploy)
    for _ in range(2):
        told = run("sh", str(deploy / "prepare"), "copy.example.com")
        assert told.returncode == 0, told.stderr
    folder = deploy / "secrets"
    for secret in compose()["secrets"].values():
        assert stat.S_IMODE((deploy / secret["file"]).stat().st_mode) == 0o440
    assert len((folder / "api_key").read_text()) == 64
    assert (folder / "api_key").read_text() != (folder / "key_pepper").read_text()
    assert "PUBLIC_HOST=copy.example.com" in (deploy / ".env").read_text()
    name = run("openssl", "x509", "-in", str(folder / "tls.crt"), "-noout", "-ext", "subjectAltName").stdout
    assert "DNS:copy.example.com" in name
    given = {
        name: text.replace("/run/secrets/", f"{folder}/") for name, text in variables()["compose"].items()
    }
    given["COPYKIT_DATA_DIR"] = str(tmp_path / "data")
    checked = subprocess.run(
        [str(DEPLOY / "entrypoint"), "check"],
        env={
            **environment(tmp_path, **given),
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "authentication on" in checked.stdout
    assert "answers to the names localhost, copywriting-service" in checked.stdout
