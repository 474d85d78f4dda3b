"""Entry point of Alembic; `stores.schema` and `migrations.autogenerate` configure it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="public",
    transaction_per_migration=True,
    **context.config.attributes.get("comparison", {}),
)
with context.begin_transaction():
    context.run_migrations()
