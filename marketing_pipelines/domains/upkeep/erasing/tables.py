"""The table of erasures, which is the ledger that every way in asks."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores.ownership import FOR_EVER, Person, owned
from marketing_pipelines.stores.tables import (
    instant,
    json_object,
    metadata,
    organization_id,
)


def _hashes(name: str, comment: str) -> sa.Column[list[str]]:
    return sa.Column(
        name,
        pg.ARRAY(sa.Text),
        nullable=False,
        server_default=sa.text("'{}'::text[]"),
        comment=comment,
    )


erasures = sa.Table(
    "erasures",
    metadata,
    # No number: a restored database would give it again, and its file is in the stores already.
    sa.Column(
        "id",
        sa.Uuid,
        primary_key=True,
        server_default=sa.func.gen_random_uuid(),
        comment="Name of the erasure and of its file",
    ),
    organization_id(),
    sa.Column(
        "contact_ids",
        pg.ARRAY(sa.BigInteger),
        nullable=False,
        comment="Contacts that were the person; their rows are anonymous now",
    ),
    _hashes("hashes", "Keyed hashes of the external ids and addresses of the person"),
    _hashes("lifted", "Those of the hashes that a new relationship allows again"),
    sa.Column(
        "names",
        sa.Text,
        comment="Encrypted names of the person while the erasure goes on; null = it is done",
    ),
    instant("requested_at", "When the erasure was asked for", nullable=False),
    instant("tables_done_at", "When rows and files were erased; null = that is to be done"),
    instant("lake_done_at", "Tick that erased the person's events; null = that is to be done"),
    json_object("proof", "Numbers of rows and files, by table and kind, without names"),
    sa.Index("ix_erasures_hashes", "hashes", postgresql_using="gin"),
    sa.Index("ix_erasures_contact_ids", "contact_ids", postgresql_using="gin"),
    sa.Index(
        "ix_erasures_pending", "requested_at", postgresql_where=sa.text("lake_done_at is null")
    ),
    info=owned(keep=FOR_EVER, person=Person(by="contact_ids", erase="keep", export=False)),
    schema="ops",
    comment="Erasures of persons, with keyed hashes by which every way in recognizes them",
)
