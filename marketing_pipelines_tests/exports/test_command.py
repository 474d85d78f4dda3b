"""The command `export columns`."""

import pytest

from marketing_pipelines_tests.cli.console import call_here, refusal_here


def test_the_columns_of_a_kind_are_listed_in_their_order() -> None:
    lines = call_here("export", "columns", "deals").stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == [
        "column", "organization_id", "external_id", "name"
    ]  # fmt: skip
    assert lines[-1] == "The attributes follow, by name."
    events = call_here("export", "columns", "events").stdout
    assert "occurred_at" in events
    assert "attributes" not in events


def test_a_kind_without_columns_is_refused_with_those_that_have_some(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refusal_here(capsys, "export", "columns", "contact")
    assert (
        "kind: 'contact' has no columns to choose: name one of activities, campaign_stats, "
        "contacts, deals, events, messages." in said
    )
