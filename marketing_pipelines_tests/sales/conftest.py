"""An organization with users, alone in a database that the tests of a file share."""

from pathlib import Path

import pytest

from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.sales.world import Sales, new_world


@pytest.fixture
def sales(emptied: Installation, tmp_path: Path) -> Sales:
    """Acme with the rep Ann, the manager Max and the admin Bob, and a contact at a company."""
    sales = new_world(emptied, tmp_path)
    sales.load(
        "users",
        {"external_id": "ann", "name": "Ann Lee", "email": "ann@acme.example"},
        {"external_id": "max", "name": "Max Orr", "role": "manager"},
        {"external_id": "bob", "name": "Bob Day", "role": "admin", "email": "bob@acme.example"},
    )
    sales.load("companies", {"external_id": "globex", "name": "Globex Corp"})
    sales.load(
        "contacts",
        {
            "external_id": "c1",
            "first_name": "John",
            "last_name": "Doe",
            "email": "john@globex.example",
            "company_id": "globex",
            "owner_id": "ann",
            "created_at": "2026-01-01T00:00:00Z",
        },
    )
    return sales
