"""Attributes of the names of new columns, loaded before the migration, move into the columns."""

import csv
import json
import logging
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic import command

from marketing_pipelines.domains.segments import preview, rules
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines.stores.schema import alembic_config, migrate
from marketing_pipelines_tests.leads.world import NOW
from marketing_pipelines_tests.scale import soak_only

FORMER_RELEASE = "0031"
FILE = """\
external_id,lead_score,intent_band,lead_status,lead_status_at,lifecycle_stage_at,manual_override,\
enriched_at,enriched_fields,next_follow_up_at,follow_up_note,tags
ann,72,high,lost,2026-03-01T10:00:00Z,2026-02-01,TRUE,2026-01-01,title;city,2026-03-19,Call,vip;gold
bob,7,low,new,2026-03-15T00:00:00+02:00,2026-03-02T08:00,false,,,2026-03-21T00:00:00Z,,gold
cleo,,,,,,,,,,,
dora,high,hot,Lost,soon,2026-02-30,maybe,never,,tomorrow,Wait,vip
"""
FITTING = [
    {"attribute": "lead_score", "op": ">", "value": 50},
    {"attribute": "lead_score", "op": "not_exists"},
    {"attribute": "intent_band", "op": "in", "value": ["high", "medium"]},
    {"attribute": "lead_status", "op": "=", "value": "lost"},
    {"attribute": "lead_status", "op": "!=", "value": "lost"},
    {"attribute": "lead_status_at", "op": "before", "value": "2026-03-10"},
    {"attribute": "lead_status_at", "op": "within_last", "value": "7d"},
    {"attribute": "lifecycle_stage_at", "op": "on", "value": "2026-02-01"},
    {"attribute": "lifecycle_stage_at", "op": "after", "value": "2026-03-01T23:59:00Z"},
    {"attribute": "manual_override", "op": "=", "value": True},
    {"attribute": "manual_override", "op": "=", "value": False},
    {"attribute": "manual_override", "op": "exists"},
    {"attribute": "enriched_at", "op": "exists"},
    {"attribute": "enriched_at", "op": "before", "value": "-30d"},
    {"attribute": "enriched_fields", "op": "contains", "value": "city"},
    {"attribute": "next_follow_up_at", "op": "before", "value": "today"},
    {"attribute": "next_follow_up_at", "op": "within_next", "value": "2d"},
    {"attribute": "follow_up_note", "op": "like", "value": "C%"},
    {"attribute": "follow_up_note", "op": "not_exists"},
    {"attribute": "tags", "op": "contains", "value": "vip"},
    {"attribute": "tags", "op": "contains", "value": "gold"},
    {"attribute": "tags", "op": "=", "value": "gold"},
    {"attribute": "tags", "op": "in", "value": ["gold", "vip;gold"]},
    {"attribute": "tags", "op": "starts_with", "value": "vip"},
    {"attribute": "tags", "op": "not_exists"},
]
SEGMENTS = {
    "lost": {"not": {"attribute": "lead_status", "op": "=", "value": "x"}},
    "deep": {"attribute": "tags.a", "op": "exists"},
    "other": {"all": []},
}
LISTS = [
    ("eva", {"tags": ["new", "vip"], "enriched_fields": ["title"]}),
    ("finn", {"tags": [], "manual_override": True, "lead_score": 12}),
    ("gus", {"tags": {"a": 1}, "lead_score": 120, "follow_up_note": 5}),
]


def answers(connection: sa.Connection, organization: int, given: Any) -> set[str]:
    found = preview.members(
        connection,
        organization,
        rules.parse_value(given),
        now=NOW,
        reporting_zone=ZoneInfo("UTC"),
    )
    return set(found)


def former_answers(connection: sa.Connection, organization: int, given: Any) -> set[str]:
    """The answers about the attribute, which the former release read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marketing_pipelines.domains.segments.values.column_of", lambda name: None)
        patch.setattr("marketing_pipelines.domains.segments.compiler.column_of", lambda name: None)
        return answers(connection, organization, given)


def load_former(connection: sa.Connection) -> int:
    """Rows as the former release stored those of the file and of JSON lines."""
    rows = [
        (row.pop("external_id"), {key: value for key, value in row.items() if value})
        for row in csv.DictReader(FILE.splitlines())
    ]
    connection.exec_driver_sql("insert into ops.installation (id, timezone) values (1, 'UTC')")
    connection.exec_driver_sql(
        "insert into crm.organizations (external_id, timezone) values ('o', 'Europe/Berlin')"
    )
    organization: int = connection.exec_driver_sql("select id from crm.organizations").scalar_one()
    for name, attributes in [*rows, *LISTS]:
        connection.execute(
            sa.text(
                "insert into crm.contacts (organization_id, external_id, attributes)"
                " values (:own, :name, cast(:attributes as jsonb))"
            ),
            {"own": organization, "name": name, "attributes": json.dumps(attributes)},
        )
    connection.exec_driver_sql(
        "insert into crm.users (organization_id, external_id, attributes)"
        ' values (%s, \'u\', \'{"active": "false", "team": "north"}\'),'
        " (%s, 'v', '{\"active\": \"on leave\"}')",
        (organization, organization),
    )
    for name, given in SEGMENTS.items():
        connection.execute(
            sa.text(
                "insert into segments.segments (organization_id, external_id, rule)"
                " values (:own, :name, cast(:rule as jsonb))"
            ),
            {"own": organization, "name": name, "rule": json.dumps(given)},
        )
    connection.exec_driver_sql(
        "insert into segments.contact_fields (organization_id, field)"
        " select distinct organization_id, key from crm.contacts, jsonb_object_keys(attributes) key"
        " on conflict do nothing"
    )
    return organization


@pytest.mark.soak
@soak_only
def test_rules_give_the_same_answers_after_the_migration(
    new_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database_url=new_database("template0"))
    engine = create_engine(database_url(settings))
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), FORMER_RELEASE)
        organization = load_former(connection)
        connection.commit()
    with caplog.at_level(logging.WARNING):
        migrate(database_url(settings), settings)
    with engine.connect() as connection:
        after = [answers(connection, organization, given) for given in FITTING]
        moved = connection.exec_driver_sql(
            "select external_id, lead_score, intent_band, lead_status, manual_override, tags,"
            " attributes from crm.contacts order by external_id"
        ).all()
        users = connection.exec_driver_sql(
            "select external_id, active, attributes from crm.users order by 1"
        ).all()
        # The former release's answers, about the same attributes put back.
        restore(connection)
        before = [former_answers(connection, organization, given) for given in FITTING]
    engine.dispose()
    assert after == before
    assert [tuple(row) for row in moved] == [
        ("ann", 72, "high", "lost", True, ["vip", "gold"], {}),
        ("bob", 7, "low", "new", False, ["gold"], {}),
        ("cleo", None, None, None, None, [], {}),
        (
            *("dora", None, None, None, None, ["vip"]),
            {
                "lead_score_before": "high",
                "intent_band_before": "hot",
                "lead_status_before": "Lost",
                "lead_status_at_before": "soon",
                "lifecycle_stage_at_before": "2026-02-30",
                "manual_override_before": "maybe",
                "enriched_at_before": "never",
                "next_follow_up_at_before": "tomorrow",
            },
        ),
        ("eva", None, None, None, None, ["new", "vip"], {}),
        ("finn", 12, None, None, True, [], {}),
        ("gus", None, None, None, None, [], {"lead_score_before": 120, "tags_before": {"a": 1}}),
    ]
    assert [tuple(row) for row in users] == [
        ("u", False, {"team": "north"}),
        ("v", True, {"active_before": "on leave"}),
    ]
    told = [record.getMessage() for record in caplog.records if "attribute" in record.getMessage()]
    assert (
        "crm.contacts: 2 values of the attribute 'lead_status' moved into the column; 1 that do "
        "not fit stay as the attribute 'lead_status_before'; named by segment lost of o." in told
    )
    assert (
        "crm.contacts: 4 values of the attribute 'tags' moved into the column; 1 that do not fit "
        "stay as the attribute 'tags_before'; named by segment deep of o." in told
    )
    assert (
        "crm.users: 1 values of the attribute 'active' moved into the column; 1 that do not fit "
        "stay as the attribute 'active_before'." in told
    )


def restore(connection: sa.Connection) -> None:
    """Puts the attributes of the former release back, as they were loaded."""
    rows = [
        (row.pop("external_id"), {key: value for key, value in row.items() if value})
        for row in csv.DictReader(FILE.splitlines())
    ]
    for name, attributes in [*rows, *LISTS]:
        kept = dict(attributes)
        # Of values that do not fit, the answers are those of a missing value.
        if name in ("dora", "gus"):
            kept = {key: attributes[key] for key in ("tags", "follow_up_note") if key in attributes}
            kept = {key: value for key, value in kept.items() if not isinstance(value, dict)}
        connection.execute(
            sa.text(
                "update crm.contacts set attributes = cast(:attributes as jsonb)"
                " where external_id = :name"
            ),
            {"name": name, "attributes": json.dumps(kept)},
        )
