"""Settings of one organization: shown, set, refused; a broken one stops that organization only."""

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.domains.crm import organization_settings as settings
from marketing_pipelines.domains.crm.tables import organizations
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.runs.tick import Tick
from marketing_pipelines_tests.cli.console import call_here, refusal, refusal_here
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.probe import run_probe


@pytest.fixture
def installation(emptied: Installation) -> Installation:
    """That of the file: its tests change rows alone."""
    return emptied


@pytest.fixture
def numbers(installation: Installation) -> dict[str, int]:
    """Two organizations, by their external ids."""
    installation.execute(
        "insert into crm.organizations (external_id, name) values ('acme', 'Acme'), ('umbra', 'U')"
    )
    return dict(installation.rows("select external_id, id from crm.organizations"))


def stored(installation: Installation, organization: str = "acme") -> Any:
    [(found,)] = installation.rows(
        "select settings from crm.organizations where external_id = :o", o=organization
    )
    return found


def shown(organization: str = "acme") -> dict[str, list[str]]:
    done = call_here("settings", "show", "--organization", organization)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()[1:]]
    return {key: rest.split("  ") for key, rest in lines}


def test_a_value_is_set_and_only_the_difference_is_stored(
    installation: Installation, numbers: dict[str, int]
) -> None:
    assert shown()["intent.decay_rate"][0] == "2"
    done = call_here("settings", "set", "--organization", "acme", "intent.decay_rate", "3.5")
    assert done.stdout.splitlines() == ["intent.decay_rate of organization acme is set."]
    call_here("settings", "set", "--organization", str(numbers["acme"]), "quiet_hours",
         '{"start": "21:00", "end": "08:00"}')  # fmt: skip
    assert stored(installation) == {
        "intent": {"decay_rate": 3.5},
        "quiet_hours": {"start": "21:00", "end": "08:00"},
    }
    assert stored(installation, "umbra") == {}
    with installation.engine.connect() as connection:
        found = settings.settings_of(connection, numbers["acme"])
    assert (found.intent.decay_rate, found.intent.remove_below) == (3.5, 10)
    assert found.quiet_hours.start == "21:00"
    assert "set" in " ".join(shown()["intent.decay_rate"])
    call_here("settings", "set", "--organization", "acme", "intent.decay_rate", "null")
    assert "intent" not in stored(installation)


def test_the_template_of_the_newsletter_must_be_a_mail_that_can_be_used(
    installation: Installation, numbers: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    installation.execute(
        "insert into delivery.templates (organization_id, external_id, channel, subject, text)"
        " values (:own, 'short', 'sms', null, 'Hi'), (:own, 'bad', 'email', 'News', '{{')",
        own=numbers["acme"],
    )
    command = ("settings", "set", "--organization", "acme", "newsletter.template")
    for name, sentence in (
        ("nope", "newsletter.template: there is no template 'nope': the known ones are"),
        ("short", "newsletter.template: 'short' is a template of the channel sms, not email."),
        ("bad", "newsletter.template: 'bad' cannot be used, load it again: text: "),
        ("newsletter", "the built-in template 'newsletter' says nothing by itself: load one"),
    ):
        assert sentence in refusal_here(capsys, *command, name)
    assert stored(installation) == {}
    call_here(*command, "welcome")
    assert stored(installation) == {"newsletter": {"template": "welcome"}}
    call_here(*command, "null")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("intent.decay", "3", "there is no setting 'intent.decay'"),
        ("colour", "red", "there is no setting 'colour'"),
        ("intent.decay_rate", "fast", "intent.decay_rate: takes a number of at least 0, or such"),
        ("intent.decay_rate", "-1", "intent.decay_rate: takes a number of at least 0, or such"),
        ("intent.points", '{"webinar": -1}', "intent.points.webinar: Input should be greater"),
        ("intent.max_age_days", "0", "intent.max_age_days: Input should be greater than or"),
        ("intent.max_age_days", "1000000000", "intent.max_age_days: Input should be less than or"),
        ("intent.points", '{"webinar": 3000000000}', "intent.points.webinar: Input should be less"),
        ("intent.decay_rate", "3000000000", "intent.decay_rate: takes a number of at least 0, or"),
        ("opportunities.repeat", "weekly", "opportunities.repeat: Input should be 'daily' or"),
        (
            "opportunities.bands",
            '[{"up_to_days": 7, "points": 1}, {"up_to_days": 7, "points": 2}]',
            "opportunities.bands: the bands must ascend by up_to_days",
        ),
        (
            "opportunities.bands",
            '[{"up_to_days": 3000000000, "points": 1}]',
            "opportunities.bands.0.up_to_days: Input should be less than or equal to 36500",
        ),
        (
            "opportunities.bands",
            '[{"up_to_days": 7, "points": 3000000000}]',
            "opportunities.bands.0.points: Input should be less than or equal to 1000000",
        ),
        (
            "deals.stale_after_days",
            "3000000000",
            "deals.stale_after_days: it is a number of days from 0 to 36500, or an object of such",
        ),
        (
            "deals.stale_after_days",
            '{"default": 7, "Offer": 36501}',
            "deals.stale_after_days: it is a number of days from 0 to 36500, or an object of such",
        ),
        ("insights.response_hours", "1e9", "insights.response_hours: Input should be less than"),
        ("intent.medium_above", "60", "intent: intent.medium_above must lie below"),
        ("intent.decay_rate", '{"page_view": -2}', "intent.decay_rate: takes a number of at least"),
        ("frequency_caps.day", "2.5", "frequency_caps.day: Input should be a valid integer"),
        ("quiet_hours.start", "25:00", "quiet_hours.start: String should match pattern"),
        ("quiet_hours.start", "21:00", "quiet_hours: quiet_hours needs a start and another end"),
        ("warmup.ramp", "[50, 20]", "warmup: warmup.ramp must not fall"),
        ("warmup.ramp", "[]", "warmup.ramp: List should have at least 1 item"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(
    installation: Installation, numbers: dict[str, int], key: str, value: str, sentence: str
) -> None:
    with (
        pytest.raises(BadInputError) as refused,
        installation.engine.begin() as connection,
    ):
        settings.set_values(connection, numbers["acme"], {key: value})
    start = "The settings of organization acme cannot be used: "
    assert str(refused.value).startswith(f"{start}{sentence}")
    assert stored(installation) == {}


def test_settings_that_make_sense_together_are_set_together(
    installation: Installation, numbers: dict[str, int]
) -> None:
    done = call_here("settings", "set", "--organization", "acme", "quiet_hours", "22:00-07:00",
                "intent.high_above", "15", "intent.medium_above", "10",
                "journeys.stale_after_days", "9")  # fmt: skip
    assert done.stdout.splitlines() == [
        "quiet_hours, intent.high_above, intent.medium_above, journeys.stale_after_days of "
        "organization acme are set.",
    ]
    assert stored(installation) == {
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "intent": {"high_above": 15, "medium_above": 10},
        "journeys": {"stale_after_days": 9},
    }


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            ["intent.decay_rate"],
            "intent.decay_rate has no value: write KEY VALUE, for each setting.",
        ),
        (
            ["intent.decay_rate", "1", "intent.decay_rate", "2"],
            "intent.decay_rate stands there twice: give it one value.",
        ),
    ],
)
def test_settings_without_a_value_or_with_two_are_refused(
    installation: Installation,
    numbers: dict[str, int],
    capsys: pytest.CaptureFixture[str],
    values: list[str],
    sentence: str,
) -> None:
    asked = ("settings", "set", "--organization", "acme", *values)
    assert refusal_here(capsys, *asked, code=2) == sentence
    assert stored(installation) == {}


def test_of_several_settings_all_are_stored_or_none(
    installation: Installation, numbers: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("settings", "set", "--organization", "acme", "journeys.stale_after_days", "9")
    assert "quiet_hours.start: String should match pattern" in refusal_here(
        capsys, *asked, "quiet_hours", "22:00-25:00".replace("22:00", "24:00")
    )
    assert stored(installation) == {}


def test_the_settings_said_to_have_no_effect_are_those_that_nothing_reads() -> None:
    package = Path(settings.__file__).parents[2]
    code = "".join(
        path.read_text()
        for path in package.rglob("*")
        if path.suffix in (".py", ".sql") and path != Path(settings.__file__)
    )
    in_python = re.findall(r"(?:settings_of\([^()]*\)|\bown_settings)\.(\w+)", code)
    read = set(in_python) | set(re.findall(r"settings #>>? '\{(\w+),", code))
    read |= set(re.findall(r'\bown\.settings\["(\w+)"\]', code))
    assert read == set(settings.OrganizationSettings.model_fields) - settings.UNUSED


def test_an_organization_that_does_not_exist_is_refused(installation: Installation) -> None:
    assert refusal("settings", "show", "--organization", "nobody") == (
        "There is no organization 'nobody': give its external id or its number."
    )


def test_a_broken_value_stops_only_the_item_of_its_organization(
    installation: Installation, numbers: dict[str, int]
) -> None:
    installation.execute(
        "update crm.organizations set settings = :broken where external_id = 'acme'",
        broken='{"intent": {"decay_rate": "fast"}}',
    )
    done: list[str] = []

    def body(tick: Tick) -> None:
        with tick.begin() as connection:
            rows = connection.execute(sa.select(organizations).order_by("id")).all()
            for item in tick.items(connection, rows, name=lambda row: row.external_id):
                with item as row:
                    settings.settings_of(connection, row.id)
                    done.append(row.external_id)

    assert run_probe(installation.engine, body).success
    assert done == ["umbra"]
    [(item, error)] = installation.rows("select item, error from ops.item_failures")
    assert item == "acme"
    assert error.startswith("The settings of organization acme cannot be used: intent.decay_rate")


def test_every_setting_has_a_meaning_and_defaults_that_are_valid() -> None:
    defaults = settings.OrganizationSettings()
    assert set(settings.described()) == set(settings.flat(defaults))
    assert all(settings.described().values())
    assert settings.validated(defaults.model_dump(), "x") == defaults
