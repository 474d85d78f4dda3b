"""The files for monitoring name only metrics that exist and runbooks that are written."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from marketing_pipelines.observability import metrics
from marketing_pipelines_tests.installation import Installation

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "deploy" / "monitoring"
PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
METRIC = re.compile(r"\bmarketing_[a-z_]+")


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"])


@pytest.fixture
def exposed(installation: Installation) -> set[str]:
    """The names of everything at `/metrics`, whether or not it has a value now."""
    text = metrics.scrape(installation.engine, installation.instance, dt.datetime.now(dt.UTC))
    return {
        f"{family.name}{part}"
        for family in text_string_to_metric_families(text.decode())
        for part in PARTS[family.type]
    }


def test_rules_and_dashboard_name_only_metrics_that_exist(exposed: set[str]) -> None:
    expressions = [rule["expr"] for rule in rules()]
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    named = {name for text in expressions for name in METRIC.findall(text)}
    assert len(named) >= 15
    assert named - exposed == set()


def test_every_rule_has_a_runbook_and_every_runbook_a_rule() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    sections = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_every_panel_has_a_place_of_its_own() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len(places) == len(panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())
