"""Every table says how it grows and which contact its rows are about."""

import pytest
import sqlalchemy as sa

from marketing_pipelines.stores.ownership import Person, ownership
from marketing_pipelines.stores.tables import load_tables

TABLES = load_tables().tables
ABOUT = {name: ownership(table).person for name, table in TABLES.items()}
CONTACT_COLUMNS = {"contact_id", "contact_ids"}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_declaration_names_columns_of_the_table(name: str) -> None:
    columns = set(TABLES[name].columns.keys())
    person = ABOUT[name]
    assert person is None or person.columns <= columns
    assert set(ownership(TABLES[name]).mentions) <= columns


def test_every_table_with_a_contact_is_declared_to_be_about_it() -> None:
    with_contact = {
        name for name, table in TABLES.items() if CONTACT_COLUMNS & set(table.columns.keys())
    }
    by_contact = {name for name, person in ABOUT.items() if person and person.by in CONTACT_COLUMNS}
    assert with_contact == by_contact
    others = {
        name: (person.by, person.of)
        for name, person in ABOUT.items()
        if person and person.by not in CONTACT_COLUMNS
    }
    assert others == {
        "analytics.event_keys": ("activity_id", "analytics.contact_activity"),
        "crm.contacts": ("id", None),
        "crm.meeting_attendees": ("attendee", None),
        "crm.meetings": ("attendees", None),
        "delivery.handovers": ("message_id", "delivery.messages"),
        "delivery.message_events": ("message_id", "delivery.messages"),
        "inbox.message_places": ("message_id", "inbox.email_messages"),
        "leads.opportunity_points": ("opportunity_id", "crm.opportunities"),
        "lifecycle.goals": ("enrolment_id", "lifecycle.enrolments"),
        "lifecycle.step_results": ("enrolment_id", "lifecycle.enrolments"),
        "sales.meeting_briefs": ("meeting_id", "crm.meetings"),
    }


def test_a_table_without_a_declaration_has_no_ownership() -> None:
    with pytest.raises(KeyError, match="ownership"):
        ownership(sa.Table("trial", sa.MetaData()))


@pytest.mark.parametrize(("erase", "mask"), [("empty", ()), ("delete", ("email",))])
def test_emptying_and_the_columns_to_empty_go_together(erase: str, mask: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="erase='empty' and mask go together"):
        Person(by="contact_id", erase=erase, mask=mask)  # type: ignore[arg-type]
