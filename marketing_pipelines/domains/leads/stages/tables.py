"""Tables of the moves of stages and of recycled leads."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import identity, instant, metadata, organization_id


def _contact_id() -> sa.Column[int]:
    return sa.Column("contact_id", sa.BigInteger, nullable=False, comment="Contact")


lifecycle_history = sa.Table(
    "lifecycle_history",
    metadata,
    identity("Row number; of one contact, later moves have greater ones"),
    organization_id(),
    _contact_id(),
    sa.Column("from", sa.Text, nullable=False, comment="Stage before"),
    sa.Column("to", sa.Text, nullable=False, comment="Stage after"),
    instant("at", "When the contact moved", nullable=False),
    instant("tick", "Tick of the job that moved it", nullable=False),
    sa.Column("reason", sa.Text, nullable=False, comment="Rule that held, with its number"),
    sa.UniqueConstraint("contact_id", "tick", "from"),
    sa.Index("ix_lifecycle_history_organization_id_at", "organization_id", "at"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="leads",
    comment="Moves of contacts to their next lifecycle stage, written by leads/lifecycle_stages",
)

lead_recycling = sa.Table(
    "lead_recycling",
    metadata,
    identity("Row number"),
    organization_id(),
    _contact_id(),
    instant("tick", "Tick at which the lead was recycled", nullable=False),
    sa.Column("previous_status", sa.Text, nullable=False, comment="Lead status before"),
    sa.Column(
        "signal_event", sa.Text, nullable=False, comment="Id of the latest event of interest"
    ),
    sa.Column(
        "enrolment_id", sa.BigInteger, comment="Enrolment in the sequence; null = none is set"
    ),
    sa.Column("task_id", sa.BigInteger, comment="Task for the owner"),
    sa.UniqueConstraint("contact_id", "tick"),
    info=owned(keep=FOR_EVER, person=Person(by="contact_id", erase="delete")),
    schema="leads",
    comment="Lost leads that showed interest again, written by leads/recycled_leads",
)
