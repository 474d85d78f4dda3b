"""The files of suppressions."""

from marketing_pipelines.domains.crm.tables import contacts
from marketing_pipelines.domains.delivery.tables import CHANNELS, suppressions
from marketing_pipelines.stores.kinds import (
    Column,
    Kind,
    Reference,
)

KINDS = (
    Kind(
        "suppressions",
        suppressions,
        key=("contact_id", "channel", "reason"),
        columns=(
            Column("contact_id", required=True, reference=Reference(contacts)),
            Column("channel", choices=(*CHANNELS, "all"), empty="'email'"),
            Column(
                "reason",
                choices=("unsubscribed", "hard_bounce", "complaint", "do_not_contact"),
                required=True,
            ),
            Column("since", "instant", keep=True),
        ),
        attributes=False,
    ),
)
