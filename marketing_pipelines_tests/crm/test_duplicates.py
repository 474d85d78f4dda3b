"""`contact duplicates`: addresses that several contacts have."""

from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.installation import Installation


def test_contacts_with_one_normalised_address_are_listed(installation: Installation) -> None:
    installation.execute("insert into crm.organizations (external_id) values ('acme'), ('other')")
    installation.execute(
        "insert into crm.contacts (organization_id, external_id, email, phone)"
        " select organization.id, given.name, given.email, given.phone"
        " from (values ('acme', 'ann', ' Ann@Example.org', '0049 170 5551234'),"
        " ('acme', 'ann2', 'ann@example.org', null), ('acme', 'bob', null, '+49 (170) 555-1234'),"
        " ('acme', 'cleo', 'c@x', 'none'), ('acme', 'dora', '', 'none'),"
        " ('other', 'ann', 'ann@example.org', null)) as given (organization, name, email, phone)"
        " join crm.organizations as organization on external_id = given.organization"
        " order by given.name"
    )
    shown = call_here("contact", "duplicates", "--organization", "acme").stdout.splitlines()
    assert [line.split() for line in shown[1:]] == [
        ["ann@example.org", "email", "2", "ann,", "ann2"],
        ["+491705551234", "sms", "2", "ann,", "bob"],
    ]
    assert call_here("contact", "duplicates", "--organization", "other").stdout == (
        "No two contacts have one address.\n"
    )
