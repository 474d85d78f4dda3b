"""Tables of new contacts and of the turn in which users get them."""

import sqlalchemy as sa

from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import metadata

unannounced_contacts = sa.Table(
    "unannounced_contacts",
    metadata,
    sa.Column(
        "contact_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Contact"
    ),
    info=owned(keep=EMPTIED, person=Person(by="contact_id", erase="delete", export=False)),
    schema="crm",
    comment="Contacts without an event `contact.created` so far: only rows about them or messages "
    "of an application named them",
)

assignment_turns = sa.Table(
    "assignment_turns",
    metadata,
    sa.Column(
        "organization_id",
        sa.BigInteger,
        sa.ForeignKey("crm.organizations.id"),
        primary_key=True,
        autoincrement=False,
        comment="Organization",
    ),
    sa.Column(
        "assigned",
        sa.BigInteger,
        nullable=False,
        server_default=sa.text("0"),
        comment="Contacts that got an owner so far; modulo the users it says whose turn it is",
    ),
    info=owned(keep=FOR_EVER),
    schema="crm",
    comment="The turn in which users get new contacts; its row is locked while owners are assigned",
)
