"""The next migration, written from the difference between `tables.py` and a database.

Checks and rows are for its author to add; functions, views, triggers, rights and comments are files
in `schema/`.
"""

import os
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.stores.schema import alembic_config, head_revision
from marketing_pipelines.stores.tables import load_tables

VERSIONS = Path(__file__).with_name("versions")
_FORMATTING = {
    "hooks": "format, fix",
    "fix.type": "module",
    "fix.module": "ruff",
    "fix.options": "check --fix --quiet REVISION_SCRIPT_FILENAME",
    "format.type": "module",
    "format.module": "ruff",
    "format.options": "format --quiet REVISION_SCRIPT_FILENAME",
}


def write_migration(connection: sa.Connection, name: str, folder: Path = VERSIONS) -> Path:
    """Writes the migration after the newest one.

    Args:
        connection: Leads to a database at the newest migration.
        name: Lower-case words joined by underscores; they become the file's name.

    Raises:
        ConfigurationError: the name is not of that form.
    """
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ConfigurationError(f"NAME={name} is no name of a migration: write it as add_scores.")
    from alembic import command

    config = alembic_config(connection)
    config.attributes["comparison"] = comparison() | {
        "target_metadata": _without_comments(load_tables()),
        "autogenerate_plugins": ["alembic.autogenerate.*", "~alembic.autogenerate.comments"],
    }
    folders = dict.fromkeys([str(VERSIONS), str(folder)])
    config.set_main_option("version_locations", os.pathsep.join(folders))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("truncate_slug_length", "80")
    for option, value in _FORMATTING.items():
        config.set_section_option("post_write_hooks", option, value)
    revision = f"{int(head_revision()) + 1:04}"
    command.revision(
        config,
        name.replace("_", " ").capitalize() + ".",
        autogenerate=True,
        rev_id=revision,
        version_path=str(folder),
    )
    return folder / f"{revision}_{name}.py"


def comparison() -> dict[str, Any]:
    """Alembic's options for comparing the declared tables with a database."""
    schemas = {table.schema for table in load_tables().tables.values()}

    def is_ours(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        # Month partitions are made by a function, views are files.
        if kind == "table":
            return item.schema in schemas and not str(name).startswith("contact_activity_")
        return getattr(item.table, "schema", None) in schemas

    return {
        "include_schemas": True,
        "include_object": is_ours,
        "compare_type": True,
        "compare_server_default": True,
    }


def _without_comments(declared: sa.MetaData) -> sa.MetaData:
    bare = sa.MetaData(naming_convention=declared.naming_convention)
    for table in declared.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table.key not in declared.tables:
                key.column.table.to_metadata(bare)
        copy = table.to_metadata(bare)
        copy.comment = None
        # Alembic writes it into the migration, where ownership has no source.
        copy.info.clear()
        for column in copy.columns:
            column.comment = None
    return bare
