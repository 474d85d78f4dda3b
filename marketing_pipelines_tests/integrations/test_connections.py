"""Connections: set from a file or standard input, encrypted, listed without secrets, rotated."""

import datetime as dt
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.integrations import connections, tables, vault
from marketing_pipelines.domains.integrations.connections import Connection
from marketing_pipelines.domains.integrations.providers import (
    LEADSQUARED,
    MAPPING,
    PROVIDERS,
    SMTP,
    provider_of,
)
from marketing_pipelines.failures import BadInputError, ConfigurationError
from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.postgres import create_engine, reader_url
from marketing_pipelines_tests.cli.console import call_here, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

NOW = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
ACCESS, OTHER = "u$r7a9c0e5f1-access", "s3cr3t-of-leadsquared-9x"
LEADS = {"url": "https://api.example.org", "access_key": ACCESS, "secret_key": OTHER}
FIRST, SECOND = "first-key-of-32-characters-aaaaaaa", "second-key-of-32-characters-bbbbbb"


@pytest.fixture
def acme(shared_installation: Installation) -> Installation:
    """An installation with the organization acme, which has no connections."""
    shared_installation.execute("delete from ops.incidents")
    shared_installation.execute("delete from integrations.connections")
    shared_installation.execute(
        "insert into crm.organizations (external_id) values ('acme'), ('umbra')"
        " on conflict do nothing"
    )
    return shared_installation


def number(installation: Installation, name: str = "acme") -> int:
    [(found,)] = installation.rows(
        "select id from crm.organizations where external_id = :name", name=name
    )
    return int(found)


def given(installation: Installation, provider: str, fields: dict[str, Any],
          now: dt.datetime = NOW) -> Connection:  # fmt: skip
    with installation.engine.begin() as connection:
        return connections.set_connection(
            connection, get_settings(), number(installation), provider_of(provider), fields, now
        )


def with_keys(key: str | None, old: str | None = None, env: str = "development") -> Settings:
    return Settings(secret_key=key, old_secret_keys=old, env=env)  # type: ignore[arg-type]


def test_a_file_makes_a_connection_and_no_command_prints_its_secrets(
    acme: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "leads.json"
    file.write_text(json.dumps(LEADS))
    asked = ("leadsquared", "--organization", "acme")
    made = call_here("connection", "set", *asked, "--file", str(file))
    assert (made.returncode, made.stdout, made.stderr) == (
        0, "The connection leadsquared of acme is set.\n", ""
    )  # fmt: skip
    listed = call_here("connection", "list").stdout
    assert listed.splitlines()[1].split() == ["acme", "leadsquared", "ok"]
    tried = call_here("connection", "retry", *asked).stdout
    assert tried == "The connection leadsquared of acme is tried again at the next tick.\n"
    rotated = call_here("connection", "rotate").stdout
    assert rotated == "0 of 1 connections had secrets of a former key.\n"
    [(settings, secrets)] = acme.rows("select settings, secrets from integrations.connections")
    assert settings == {"url": "https://api.example.org"}
    told = made.stdout + listed + tried + rotated + json.dumps(settings) + secrets
    assert ACCESS not in told
    assert OTHER not in told
    gone = call_here("connection", "remove", *asked).stdout
    assert gone == "The connection leadsquared of acme is removed.\n"
    assert acme.rows("select from integrations.connections") == []


def test_standard_input_makes_one_too(acme: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO(json.dumps(LEADS).encode()))
    monkeypatch.setattr("sys.stdin", text)
    done = call_here("connection", "set", "leadsquared", "--organization", "acme")
    assert done.stdout == "The connection leadsquared of acme is set.\n"


@pytest.mark.parametrize(
    ("provider", "fields", "sentence"),
    [
        ("crm", {}, "There is no provider 'crm': name one of enrichment, content_service, "
                    "leadsquared, smtp, oauth, imap, google."),
        ("leadsquared", {"url": "https://x.example"}, "leadsquared needs the field access_key."),
        ("leadsquared", {**LEADS, "colour": 1}, "leadsquared has no field 'colour': its fields "
            "are url, access_key, secret_key, per_5_seconds, since, mapping, statuses."),
        ("leadsquared", {**LEADS, "url": "http://api.example.org"},
            "leadsquared url cannot be used: http:// is for loopback only: write https://."),
        ("leadsquared", {**LEADS, "url": f"https://api.example.org?accessKey={ACCESS}"},
            "leadsquared url cannot be used: it holds more than host and path: keys have fields "
            "of their own."),
        ("leadsquared", {**LEADS, "mapping": {"A": "external_id"}},
            "leadsquared cannot be used: mapping cannot fill external_id."),
        ("leadsquared", {**LEADS, "mapping": {"A": "email", "B": "email"}},
            "leadsquared cannot be used: mapping fills email twice."),
        ("leadsquared", {**LEADS, "per_5_seconds": 0},
            "leadsquared per_5_seconds cannot be used: Input should be greater than 0."),
        ("smtp", {"domain": "News.example", "host": "h"},
            "smtp domain cannot be used: String should match pattern "
            "'^[a-z0-9-]+(\\.[a-z0-9-]+)+$'."),
        ("smtp", {"domain": "news.example", "host": "h", "user": "u"},
            "smtp cannot be used: user and password go together."),
        ("enrichment", {"api_key": ["k3y-of-apollo"]},
            "enrichment api_key cannot be used: Input should be a valid string."),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_used_are_refused_and_none_is_repeated(
    acme: Installation, provider: str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        given(acme, provider, fields)
    assert str(refused.value) == sentence
    assert acme.rows("select from integrations.connections") == []


@pytest.mark.parametrize("text", ["", "{", '["a"]', "\xff", '"' + "x" * (1 << 20) + '"'])
def test_a_file_that_holds_no_fields_is_refused_without_its_text(
    acme: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "f.json"
    file.write_text(text, encoding="latin-1")
    asked = ("connection", "set", "leadsquared", "--organization", "acme", "--file", str(file))
    said = refusal_here(capsys, *asked)
    assert said.startswith(f"'{file}' ")
    assert len(said) < 300


def test_fields_that_are_left_out_stay_and_null_takes_the_default_again(
    acme: Installation,
) -> None:
    given(acme, "leadsquared", {**LEADS, "per_5_seconds": 20})
    changed = given(acme, "leadsquared", {"mapping": {"EmailAddress": "email"}})
    fields = changed.fields(get_settings())
    assert fields.access_key.get_secret_value() == ACCESS
    assert (fields.per_5_seconds, fields.mapping) == (20, {"EmailAddress": "email"})
    fields = given(acme, "leadsquared", {"mapping": None}).fields(get_settings())
    assert fields.mapping == MAPPING


def test_secrets_do_not_follow_to_another_system(acme: Installation) -> None:
    given(acme, "leadsquared", LEADS)
    with pytest.raises(BadInputError, match="give access_key, secret_key with it"):
        given(acme, "leadsquared", {"url": "https://evil.example"})
    moved = given(acme, "leadsquared", {**LEADS, "url": "https://api2.example.org"})
    assert moved.settings["url"] == "https://api2.example.org"


@pytest.mark.parametrize(
    ("provider", "fields", "address"),
    [
        ("imap", {"address": "ann@acme.example"}, ("host", "imap.acme.example", "evil.example")),
        ("google", {}, ("url", "https://sheets.acme.example", "https://evil.example")),
    ],
)  # fmt: skip
def test_a_grant_does_not_follow_to_another_system(
    acme: Installation, provider: str, fields: dict[str, Any], address: tuple[str, str, str]
) -> None:
    bound, own, other = address
    given(acme, provider, {**fields, bound: own, "grant": "ann"})
    given(acme, provider, {**fields, "grant": "ben"})
    with pytest.raises(BadInputError, match=f"{bound} names another system: give grant with it"):
        given(acme, provider, {**fields, bound: other})
    assert given(acme, provider, fields).settings[bound] == own
    moved = given(acme, provider, {**fields, bound: other, "grant": "ben"})
    assert moved.settings[bound] == other


@pytest.mark.parametrize("address", [{}, {"url": "https://x.example/"}], ids=["default", "slash"])
def test_other_fields_change_without_the_keys(acme: Installation, address: dict[str, str]) -> None:
    given(acme, "enrichment", {"api_key": ACCESS, **address})
    fields = given(acme, "enrichment", {"per_minute": 20}).fields(get_settings())
    assert (fields.api_key.get_secret_value(), fields.per_minute) == (ACCESS, 20)
    with pytest.raises(BadInputError, match="url names another system: give api_key with it"):
        given(acme, "enrichment", {"url": "https://evil.example"})


def test_an_organization_has_a_connection_for_each_domain(acme: Installation) -> None:
    for domain in ("news.acme.example", "shop.acme.example"):
        given(acme, "smtp", {"domain": domain, "host": "mail.acme.example"})
    with acme.engine.connect() as connection:
        org = number(acme)
        with pytest.raises(BadInputError, match="by --id: news"):
            connections.named(connection, org, SMTP, None)
        found = connections.named(connection, org, SMTP, "shop.acme.example")
        assert found.name == "smtp shop.acme.example of acme"
        with pytest.raises(BadInputError, match="has no connection leadsquared: make one"):
            connections.named(connection, org, LEADSQUARED, None)


def test_the_table_holds_no_secret_and_another_key_cannot_read_it(acme: Installation) -> None:
    given(acme, "leadsquared", LEADS)
    [row] = acme.rows("select c::text from integrations.connections as c")
    assert ACCESS not in row[0]
    with acme.engine.connect() as connection:
        [found] = connections.all_of(connection)
    with pytest.raises(ConfigurationError, match="secrets of leadsquared of acme were encrypted"):
        found.fields(with_keys(SECOND))


def test_a_former_key_still_reads_and_rotating_leaves_only_the_present_one(
    acme: Installation,
) -> None:
    token = vault.encrypt(with_keys(FIRST), {"access_key": ACCESS, "secret_key": OTHER})
    given(acme, "leadsquared", LEADS)
    acme.execute("update integrations.connections set secrets = :token", token=token)
    both = with_keys(SECOND, old=FIRST)
    with acme.engine.begin() as connection:
        [found] = connections.all_of(connection)
        assert found.fields(both).access_key.get_secret_value() == ACCESS
        assert connections.rotate(connection, both, found)
        assert not connections.rotate(connection, both, found)
        [found] = connections.all_of(connection)
    assert found.fields(with_keys(SECOND)).secret_key.get_secret_value() == OTHER


def test_production_without_a_key_keeps_no_secret() -> None:
    with pytest.raises(ConfigurationError, match="MARKETING_SECRET_KEY is not set"):
        vault.encrypt(with_keys(None, env="production"), {"a": "b"})
    assert vault.encrypt(with_keys(FIRST, env="production"), {"a": "b"}) != ""


def test_a_secret_that_was_read_is_hidden_in_every_text(acme: Installation) -> None:
    given(acme, "leadsquared", LEADS).fields(get_settings())
    assert redact(f"https://h/x?secretKey={OTHER}&a=1") == "https://h/x?secretKey=…&a=1"
    encoded = ACCESS.replace("$", "%24")
    assert redact(f"it said {ACCESS} and {encoded}") == "it said … and …"


def test_analysts_see_states_and_neither_settings_nor_secrets(acme: Installation) -> None:
    given(acme, "leadsquared", LEADS)
    with create_engine(reader_url(get_settings())).connect() as reader:
        seen = reader.exec_driver_sql("select provider, state from integrations.connections").all()
        assert [tuple(row) for row in seen] == [("leadsquared", "ok")]
        for column in ("secrets", "settings", "*"):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                reader.exec_driver_sql(f"select {column} from integrations.connections")
            reader.rollback()


def test_state_reconnect_alerts_once_and_ends_when_a_person_changes_the_connection(
    acme: Installation,
) -> None:
    found = given(acme, "leadsquared", LEADS)
    for _ in range(2):
        with acme.engine.begin() as connection:
            connections.note_reconnect(connection, found, "the key is refused")
    state = "select state, error from integrations.connections"
    alerts = "select subject, alerts.kind from ops.alerts join ops.incidents on incidents.id = " \
             "incident_id order by alerts.id"  # fmt: skip
    assert acme.rows(state) == [("reconnect", "the key is refused")]
    assert acme.rows(alerts) == [("connection leadsquared of acme", "first")]
    given(acme, "leadsquared", {"access_key": "another-access-key-2"}, NOW + dt.timedelta(hours=1))
    assert acme.rows(state) == [("ok", None)]
    assert acme.rows(alerts)[1:] == [("connection leadsquared of acme", "recovery")]
    # A job that began before the change does not undo it.
    with acme.engine.begin() as connection:
        connections.note_reconnect(connection, found, "the key is refused")
        connections.note_failing(connection, found, "it is slow")
    assert acme.rows(state) == [("ok", None)]


def test_removing_a_connection_waits_for_its_row_before_it_takes_the_incident(
    acme: Installation,
) -> None:
    found = given(acme, "leadsquared", LEADS)
    with acme.engine.begin() as connection:
        connections.note_reconnect(connection, found, "the key is refused")

    def remove() -> None:
        with acme.engine.begin() as connection:
            connections.remove(connection, found)

    with ThreadPoolExecutor(1) as pool:
        with acme.engine.begin() as connection:
            connection.execute(sa.select(tables.connections.c.id).with_for_update())
            removed = pool.submit(remove)
            until(lambda: waits_for_a_lock(acme.engine), seconds=30, what="the removal")
            # As setting it does under the lock of its row: a deadlock if the incident is taken.
            connections.retry(connection, found, NOW)
        removed.result()
    assert acme.rows("select from integrations.connections") == []
    assert acme.rows("select count(*), count(recovered_at) from ops.incidents") == [(1, 1)]


def test_every_provider_has_one_field_that_its_secrets_belong_to() -> None:
    secrets = {name: sorted(one.secrets) for name, one in PROVIDERS.items()}
    assert secrets == {
        "enrichment": ["api_key"],
        "content_service": ["token"],
        "leadsquared": ["access_key", "secret_key"],
        "smtp": ["password"],
        "oauth": ["access_token", "client_secret", "refresh_token"],
        "imap": ["password"],
        "google": ["key"],
    }
    assert all(one.fields.bound_to in one.fields.model_fields for one in PROVIDERS.values())
