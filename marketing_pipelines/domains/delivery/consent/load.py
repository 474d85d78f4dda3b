"""The files of categories and subscriptions."""

import json

from marketing_pipelines.domains.crm.references import CONTACT
from marketing_pipelines.domains.delivery.consent.tables import (
    MODES,
    SUBSCRIPTION_STATES,
    categories,
    subscriptions,
)
from marketing_pipelines.stores.kinds import EXTERNAL_ID, Column, FileRow, Kind, Reference


def _evidence_problem(row: FileRow) -> str | None:
    try:
        evidence = json.loads(row.get("evidence") or "{}")
    except ValueError:
        # The column's type names the fault.
        return None
    at = evidence.get("confirmed_at") if isinstance(evidence, dict) else None
    if at is not None and not (isinstance(at, str) and at.strip()):
        return "its confirmed_at is no instant"
    return None


CONSENT_KINDS = (
    Kind(
        "categories",
        categories,
        key=("external_id",),
        columns=(
            EXTERNAL_ID,
            Column("name"),
            Column("mode", choices=MODES, empty="'opt_out'"),
            Column("is_default", "boolean", empty="false"),
        ),
        attributes=False,
    ),
    Kind(
        "subscriptions",
        subscriptions,
        key=("contact_id", "category"),
        columns=(
            Column("contact_id", required=True, reference=CONTACT),
            Column(
                "category", required=True, reference=Reference(categories), column="category_id"
            ),
            # A file from before that day brings nobody back.
            Column(
                "state",
                choices=SUBSCRIPTION_STATES,
                required=True,
                only_if="stored.state <> 'unsubscribed' or changed.changed_at > stored.changed_at",
            ),
            Column("evidence", "object", empty="'{}'", problem=_evidence_problem),
            Column("source", empty="'file'"),
            Column("changed_at", "instant", keep=True),
        ),
        attributes=False,
    ),
)
