"""An organization with users, alone in a database that the tests of a file share."""

from pathlib import Path

import pytest

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.sales.world import Sales

# In SQL: loading five files takes longer than most of the tests that need them.
WORLD = """
    with acme as (
        insert into crm.organizations (external_id, name) values ('acme', 'Acme') returning id
    ),
    staff as (
        insert into crm.users (organization_id, external_id, name, email, role)
        select acme.id, one.* from acme cross join (values
            ('ann', 'Ann Lee', 'ann@acme.example', 'rep'),
            ('max', 'Max Orr', null, 'manager'),
            ('bob', 'Bob Day', 'bob@acme.example', 'admin')
        ) as one
        returning id, external_id
    ),
    globex as (
        insert into crm.companies (organization_id, external_id, name)
        select id, 'globex', 'Globex Corp' from acme returning id
    )
    insert into crm.contacts (organization_id, external_id, first_name, last_name, email,
        company_id, owner_id, created_at)
    select acme.id, 'c1', 'John', 'Doe', 'john@globex.example', globex.id, staff.id, '2026-01-01Z'
    from acme cross join globex cross join staff
    where staff.external_id = 'ann'
"""


@pytest.fixture
def sales(emptied: Installation, tmp_path: Path) -> Sales:
    """Acme with the rep Ann, the manager Max and the admin Bob, and a contact at a company."""
    emptied.execute(WORLD)
    return Sales(emptied, tmp_path)
