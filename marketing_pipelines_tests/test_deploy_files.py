"""The files in `deploy/` and the workflow fit their schemas, each other and this release."""

import contextlib
import datetime as dt
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import check_jsonschema.builtin_schemas.vendor
import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from prometheus_client.parser import text_string_to_metric_families

from marketing_pipelines.cli.main import app
from marketing_pipelines.cli.one_part import OnePart
from marketing_pipelines.cli.session import dagster_environment
from marketing_pipelines.locations import CODE_LOCATION
from marketing_pipelines.observability import metrics
from marketing_pipelines.settings import Settings, unknown_variables
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.scale import soak_only

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.33"
SCHEMAS = Path(check_jsonschema.builtin_schemas.vendor.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = f"marketing-pipelines:{PROJECT['version']}"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, in its stage."""

    stage: int
    name: str
    text: str


def instructions() -> list[Instruction]:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    stage, found = -1, []
    for line in filter(None, lines):
        name, text = line.split(" ", 1)
        stage += name == "FROM"
        found.append(Instruction(stage, name, text))
    return found


def image_variables() -> dict[str, str]:
    """The environment that the image sets."""
    [text] = [line.text for line in instructions() if line.name == "ENV"]
    return dict(word.split("=", 1) for word in text.split())


def manifests() -> list[dict[str, Any]]:
    files = ("migrate.yaml", "parts.yaml")
    texts = [(DEPLOY / "kubernetes" / name).read_text() for name in files]
    return [found for text in texts for found in yaml.safe_load_all(text)]


def containers() -> Iterator[dict[str, Any]]:
    for manifest in manifests():
        if manifest["kind"] in ("Deployment", "Job"):
            yield from manifest["spec"]["template"]["spec"]["containers"]


def values() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text()))


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("deploy/compose.yaml", "compose-spec.json"),
        (".github/workflows/ci.yml", "github-workflows.json"),
    ],
)
def test_compose_file_and_workflow_fit_their_schemas(file: str, schema: str) -> None:
    rules = json.loads((SCHEMAS / schema).read_text())
    validator = jsonschema.validators.validator_for(rules)(rules)
    # YAML 1.1 reads the key `on` as true.
    read = yaml.safe_load((ROOT / file).read_text())
    content = {"on" if key is True else key: value for key, value in read.items()}
    assert [error.message for error in validator.iter_errors(content)] == []
    content["unknown"] = 1
    assert list(validator.iter_errors(content)), "the schema refuses unknown keys"


@pytest.mark.parametrize(
    "manifest", manifests(), ids=lambda found: f"{found['kind']} {found['metadata']['name']}"
)
def test_manifests_fit_the_schemas_of_kubernetes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest | {"unknown": 1}, KUBERNETES, strict=True)


def test_every_part_runs_in_compose_and_in_kubernetes_but_the_charts_daemon() -> None:
    in_compose = [service.get("command", ()) for service in services().values()]
    in_kubernetes = [container["args"] for container in containers()]
    for commands, missing in ((in_compose, set()), (in_kubernetes, {OnePart.DAEMON})):
        texts = [" ".join(words).replace("=", " ") for words in commands if words]
        ours = [text for text in texts if text.startswith("marketing-pipelines ")]
        parts = {name for text in ours for name in re.findall(r"--only (\S+)", text)}
        assert parts == set(OnePart) - missing
        assert sum(text == "marketing-pipelines migrate" for text in ours) == 1
        for text in ours:
            assert_command_exists(text.split()[1:])


def assert_command_exists(words: list[str]) -> None:
    """Parses a command as the program would, without doing it."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    context = command.make_context(words[0], words[1:], resilient_parsing=False)
    assert context.args == []


def test_variables_of_the_compose_file_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    named = services()["worker"]["environment"] | image_variables()
    for name in named:
        monkeypatch.setenv(name, "x")
    assert unknown_variables().keys() & named.keys() == set()
    settings = {f"MARKETING_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in named if name.startswith("MARKETING_")} <= settings


def test_parts_of_the_compose_file_wait_for_the_migration() -> None:
    found = services()
    for part in OnePart:
        waits = found[part]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        for other in waits:
            assert other in found
    assert found["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert {service["image"] for name, service in found.items() if name != "postgres"} == {IMAGE}
    published = [port for service in found.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_nothing_runs_as_root_and_every_image_is_that_of_this_release() -> None:
    users = [line for line in instructions() if line.name == "USER"]
    assert [(line.stage, line.text) for line in users] == [(1, "10001")]
    assert not any(line.name == "ENTRYPOINT" for line in instructions())
    for container in containers():
        assert container["image"] == IMAGE
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    for manifest in manifests():
        if manifest["kind"] in ("Deployment", "Job"):
            pod = manifest["spec"]["template"]["spec"]
            assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": 10001}
    chart = values()
    images = [
        chart["dagsterDaemon"]["image"],
        chart["runLauncher"]["config"]["k8sRunLauncher"]["image"],
    ]
    assert {f"{image['repository']}:{image['tag']}" for image in images} == {IMAGE}


def test_the_image_sets_what_dagsters_own_commands_need(installation: Installation) -> None:
    settings = installation.settings.model_copy(update={"data_dir": Path("/var/lib/marketing")})
    folder = str(installation.settings.data_dir)
    needed = {
        name: value.replace(folder, str(settings.data_dir))
        for name, value in dagster_environment(installation.settings).items()
        if not name.startswith("MARKETING_") or name == "MARKETING_DATA_DIR"
    }
    # Holds a password: compose.yaml gives it, and the chart has storages of its own.
    del needed["DAGSTER_STORAGE_URL"]
    found = image_variables()
    assert {name: found.get(name) for name in needed} == needed
    assert found["MARKETING_LOG_LEVEL"] == "info"


def instance_of(chart: dict[str, Any]) -> dict[str, Any]:
    """The settings that the chart's template makes of values, but for storages and launcher."""
    daemon = chart["dagsterDaemon"]
    queued = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    retention = chart["retention"]
    return {
        "run_queue": {
            "max_concurrent_runs": queued["maxConcurrentRuns"],
            "dequeue_interval_seconds": queued["dequeueIntervalSeconds"],
        },
        "python_logs": {"python_log_level": chart["pythonLogs"]["pythonLogLevel"]},
        "sensors": threads(daemon["sensors"]),
        "schedules": threads(daemon["schedules"]),
        "telemetry": {"enabled": chart["telemetry"]["enabled"]},
        "retention": {
            "schedule": {"purge_after_days": retention["schedule"]["purgeAfterDays"]},
            "sensor": {"purge_after_days": retention["sensor"]["purgeAfterDays"]},
        },
        **chart["additionalInstanceConfig"],
    }


def threads(found: dict[str, Any]) -> dict[str, Any]:
    return {"use_threads": found["useThreads"], "num_workers": found["numWorkers"]}


def test_the_charts_instance_equals_dagster_yaml_but_for_storage_and_logs_of_pods() -> None:
    own = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert set(own) - set(instance_of(values())) == {"storage", "compute_logs"}
    for key, value in instance_of(values()).items():
        assert value == own[key], key
    # The chart would write these keys a second time.
    assert values()["dagsterDaemon"]["runMonitoring"] == {"enabled": False}
    assert values()["dagsterDaemon"]["runRetries"] == {"enabled": False}


def test_values_name_the_pin_of_dagster_and_the_location_of_the_code() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text()
    [version] = re.findall(r"`dagster/dagster`, version (\S+):", text)
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    assert pins["dagster"] == version
    assert pins["dagster-k8s"] == pins["dagster-postgres"]
    assert PROJECT["optional-dependencies"]["kubernetes"] == [
        item.replace("dagster-postgres", "dagster-k8s")
        for item in PROJECT["dependencies"]
        if item.startswith("dagster-postgres")
    ]
    [server] = values()["dagsterWebserver"]["workspace"]["servers"]
    assert server["name"] == CODE_LOCATION
    ports = {
        manifest["metadata"]["name"]: manifest["spec"]["ports"][0]["port"]
        for manifest in manifests()
        if manifest["kind"] == "Service"
    }
    assert ports[server["host"]] == server["port"]


def test_workers_are_scaled_by_a_metric_that_exists(installation: Installation) -> None:
    [scaler] = [found for found in manifests() if found["kind"] == "HorizontalPodAutoscaler"]
    [metric] = scaler["spec"]["metrics"]
    text = metrics.scrape(installation.engine, installation.instance, dt.datetime.now(dt.UTC))
    families = text_string_to_metric_families(text.decode())
    types = {family.name: family.type for family in families}
    assert types[metric["external"]["metric"]["name"]] == "gauge"


def test_services_and_selectors_find_their_pods_and_ports() -> None:
    ports = {}
    for manifest in manifests():
        if manifest["kind"] == "Deployment":
            template = manifest["spec"]["template"]
            labels = template["metadata"]["labels"]
            assert manifest["spec"]["selector"] == {"matchLabels": labels}
            [container] = template["spec"]["containers"]
            ports[labels["app"]] = [port["containerPort"] for port in container.get("ports", ())]
    services = [found["spec"] for found in manifests() if found["kind"] == "Service"]
    assert len(services) == 3
    for service in services:
        targets = [port["targetPort"] for port in service["ports"]]
        assert targets == ports[service["selector"]["app"]]


def python_of(user: str) -> str:
    """A Python that makes environments and that this account may execute."""
    folders = [str(Path(sys.base_prefix) / "bin"), *os.environ["PATH"].split(os.pathsep)]
    for folder in folders:
        found = shutil.which(f"python3.{sys.version_info.minor}", path=folder)
        if found is not None:
            check = [found, "-c", "import ensurepip, ssl, venv"]
            with contextlib.suppress(PermissionError):
                done = subprocess.run(check, user=user, capture_output=True, check=False, cwd="/")
                if done.returncode == 0:
                    return found
    pytest.skip(f"no Python that {user} may execute")


@pytest.fixture
def clean() -> Iterator[Path]:
    """A folder below folders that any account may enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.soak
@soak_only
@pytest.mark.timeout(1800)
def test_the_lines_that_build_the_image_run_as_a_user_that_is_not_root(clean: Path) -> None:
    """Runs them with the folders of the image in a clean folder; `useradd` needs an image."""
    build, target = clean / "build", clean / "opt"
    ignored = shutil.ignore_patterns(
        *(line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split())
    )
    shutil.copytree(ROOT, build, ignore=ignored)
    target.mkdir()
    for path in (clean, *clean.rglob("*")):
        path.chmod(0o777 if path.is_dir() else path.stat().st_mode | 0o666)
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    runs = [line.text for line in instructions() if line.name == "RUN" and line.stage == 0]
    assert len(runs) == 2
    base = clean / "python"
    base.mkdir(mode=0o755)
    (base / "python").symlink_to(python_of(user))
    for text in runs:
        done = subprocess.run(
            ["/bin/sh", "-c", text.replace("/opt/", f"{target}/")],
            cwd=build,
            env=os.environ | {"HOME": str(clean), "PATH": f"{base}:{os.environ['PATH']}"},
            user=user,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    python = target / "marketing" / "bin" / "python"
    imports = "import dagster_k8s, s3fs, marketing_pipelines; print(marketing_pipelines.__file__)"
    printed = subprocess.run(
        [python, "-c", imports], cwd=clean, capture_output=True, text=True, check=True
    ).stdout
    assert printed.startswith(str(target))
    [command] = [line for line in instructions() if line.name == "CMD"]
    name = json.loads(command.text)[0]
    subprocess.run([target / "marketing" / "bin" / name, "--help"], check=True, cwd=clean)
