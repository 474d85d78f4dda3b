"""A backup that is restored on another server: equal contents, nothing sent, nothing lost."""

import dataclasses
from collections.abc import Iterator, Sequence

import pytest

from marketing_pipelines.domains.integrations import vault
from marketing_pipelines.domains.upkeep.backups.databases import RestoreServer
from marketing_pipelines.domains.upkeep.backups.restoring import (
    places_by_server,
    require_usable,
    restore,
)
from marketing_pipelines.domains.upkeep.backups.secrets import require_keys
from marketing_pipelines.failures import BadInputError, ConfigurationError, StoreUnavailableError
from marketing_pipelines.settings import Settings
from marketing_pipelines.stores import schema_files
from marketing_pipelines.stores.postgres import create_engine, database_url
from marketing_pipelines_tests.cli.console import call_here
from marketing_pipelines_tests.dagster_in_memory import new_instance
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.upkeep.backups.world import (
    NOW,
    STOPPED,
    World,
    blocks_of_page,
    contents_of,
    empty_installation,
    files_below,
    perform,
    quiet,
)

KEY_OF_PAGE = "the-key-that-was-kept-in-another-place"
NEW_VIEW = "analytics.monthly_usage"
HELD = STOPPED | {
    # A person was erased.
    "crm.contacts",
    "delivery.suppressions",
    "leads.signal_arrivals",
    "ops.bus_events",
    "ops.erasures",
    "ops.installation",
    "segments.touched_contacts",
}


class Drill:
    """The drill of the page: a busy installation is restored into another data folder."""

    def __init__(self, world: World, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.settings = settings
        self.patch = patch
        world.settings = world.settings.model_copy(update={"secret_key": KEY_OF_PAGE})
        world.site.execute(
            "insert into integrations.connections (organization_id, provider, external_id,"
            " settings, secrets, state, changed_at)"
            " values (:organization, 'imap', 'own', '{}', :secrets, 'ok', :now)",
            organization=world.programs.organization, now=NOW,
            secrets=vault.encrypt(world.settings, {"password": "of the mailbox"}),
        )  # fmt: skip
        self.messages = [world.message("c1", state) for state in ("queued", "claimed")]
        self.sent = world.message("c2", "sent")
        # As in a backup of the release before the one that has this view.
        world.site.execute(f"drop view {NEW_VIEW}")
        world.site.execute("delete from ops.schema_files where path like '%/monthly_usage.sql'")
        self.before = world.contents()
        self.backup = world.take().backup
        # What happens after the backup, the restored database does not know by itself.
        self.erased = world.programs.contact("c5")
        url = str(world.settings.backup_url)
        erasing = ["privacy", "erase", "--organization", "acme", "--contact", "c5"]
        done = call_here(*erasing, MARKETING_BACKUP_URL=url)
        assert done.returncode == 0, done.stderr
        world.site.execute("update delivery.messages set state = 'sent' where state = 'queued'")
        _, restoring, self.releasing = blocks_of_page()
        [self.printed, self.doctor] = self.perform(restoring)
        self.site = Installation(settings, create_engine(database_url(settings)), new_instance)
        # Before anything is released.
        self.after = contents_of(settings)

    def perform(self, lines: Sequence[str]) -> list[str]:
        return perform(
            lines,
            self.patch,
            backup=self.backup.id,
            store=str(self.world.settings.backup_url),
            folder=str(self.settings.data_dir),
        )


@pytest.fixture(scope="module")
def drill(
    shared_installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("drill")
    world = World.furnish(shared_installation, folder)
    own = {"backup_url": world.settings.backup_url, "secret_key": KEY_OF_PAGE}
    with (
        empty_installation(folder / "other", **own) as settings,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MARKETING_SECRET_KEY", KEY_OF_PAGE)
        yield Drill(world, settings, patch)


def test_the_page_leaves_the_drill_no_store_of_the_installation() -> None:
    _, restoring, _ = blocks_of_page()
    [unset] = [line for line in restoring if line.startswith("unset ")]
    assert set(unset.split()[1:]) == {
        "MARKETING_DATABASE_URL",
        "MARKETING_DAGSTER_DATABASE_URL",
        "MARKETING_LAKE_URL",
        "MARKETING_FILES_URL",
    }


def test_every_table_has_the_rows_of_the_backup(drill: Drill) -> None:
    for name, dump in drill.backup.databases.items():
        before, after = drill.before[name], drill.after[name]
        assert dump.tables == before
        assert before.keys() == after.keys()
        assert {table for table in before if after[table] != before[table]} <= HELD
    assert drill.before["marketing"]["crm.contacts"].rows == 20


def test_every_file_has_the_content_of_the_backup(drill: Drill) -> None:
    source, target = drill.world.settings, drill.settings
    for name in ("lake", "files", "reports"):
        files, restored = (files_below(one.data_dir / name) for one in (source, target))
        # Each lake has it since its first export, or its first look by `doctor`.
        restored.pop("installation", None)
        files.pop("installation", None)
        assert restored == files != {}


def test_a_message_that_was_sent_after_the_backup_is_not_sent_again(drill: Drill) -> None:
    rows = drill.site.rows("select id, state, reason from delivery.messages order by id")
    reason = f"restored from {drill.backup.id}"
    unknown = [(number, "unknown", reason) for number in drill.messages]
    assert rows == [*unknown, (drill.sent, "sent", None)]


def test_a_person_that_was_erased_after_the_backup_stays_erased(drill: Drill) -> None:
    assert "1 person was erased since the backup: their rows are erased again" in drill.printed
    [row] = drill.site.rows(
        "select external_id, email from crm.contacts where id = :number", number=drill.erased
    )
    assert row == (f"erased:{drill.erased}", None)
    for table in drill.after["marketing"]:
        schema, name = table.split(".")
        held = f'select count(*) from "{schema}"."{name}" as t where t::text ~ :address'
        assert drill.site.rows(held, address=r"\mc5@example\.org") == [(0,)], table


def test_active_programs_are_paused_and_all_queues(drill: Drill) -> None:
    assert drill.site.rows(
        "select kind, external_id, status from lifecycle.programs order by 1, 2"
    ) == [
        ("campaign", "later", "scheduled"),
        ("campaign", "planned", "paused"),
        ("campaign", "spring-sale", "paused"),
        ("journey", "welcome back", "paused"),
        ("sequence", "asleep", "paused"),
    ]
    paused = drill.site.rows("select queue from ops.queue_states where paused_at is not null")
    assert {"send-email", "send-sms", "crm-events"} <= {name for (name,) in paused}


def test_the_commands_that_release_are_printed_and_kept(drill: Drill) -> None:
    kept = (drill.settings.data_dir / f"restored-{drill.backup.id}.txt").read_text()
    for command in (
        "queues resume send-email",
        "program resume campaign spring-sale --organization acme",
        "program resume journey 'welcome back' --organization acme",
        f"messages resolve --restored-from {drill.backup.id} --as resend",
    ):
        assert f"\n    marketing-pipelines {command}\n" in drill.printed
        assert f"\nmarketing-pipelines {command}\n" in kept
    assert "The secret key is in no backup: keep the value of MARKETING_SECRET_KEY" in drill.printed
    assert "problem" not in drill.doctor


def test_rights_are_those_of_the_source(drill: Drill) -> None:
    rights = (
        "select relation.oid::regclass::text, grants.privilege_type"
        " from pg_class as relation, aclexplode(relacl) as grants"
        " where grants.grantee = 'marketing_reader'::regrole and not relispartition"
        f" and relation.oid::regclass::text <> '{NEW_VIEW}'"
        " and relnamespace::regnamespace::text not like 'pg%' order by 1, 2"
    )
    functions = (
        "select oid::regprocedure::text from pg_proc"
        " where has_function_privilege('marketing_reader', oid, 'execute') order by 1"
    )
    for statement in (rights, functions):
        assert drill.site.rows(statement) == drill.world.site.rows(statement)
    assert ("analytics.contacts", "SELECT") in drill.site.rows(rights)


def test_the_schema_is_that_of_this_release(drill: Drill) -> None:
    assert drill.site.rows(f"select count(*) from {NEW_VIEW}") == [(0,)]
    with drill.site.engine.connect() as connection:
        assert schema_files.are_applied(connection)


def test_a_target_that_is_not_empty_is_refused(drill: Drill) -> None:
    with pytest.raises(BadInputError, match=r"database marketing is not empty: .* give --replace"):
        restore(drill.settings, drill.backup.id, replace=False, now=NOW, say=quiet)
    assert contents_of(drill.settings) == drill.after


def test_a_database_of_somebody_else_is_never_replaced(drill: Drill) -> None:
    own = drill.site.engine.execution_options(isolation_level="AUTOCOMMIT")
    with own.connect() as connection:
        connection.exec_driver_sql("create database dagster_restoring")
    foreign = create_engine(database_url(drill.settings).set(database="dagster_restoring"))
    with foreign.begin() as connection:
        connection.exec_driver_sql("create table theirs (id int)")
    foreign.dispose()
    with pytest.raises(BadInputError, match="dagster_restoring is none of a restore and has"):
        restore(drill.settings, drill.backup.id, replace=True, now=NOW, say=quiet)
    with own.connect() as connection:
        connection.exec_driver_sql("drop database dagster_restoring")


def test_an_empty_database_of_a_restore_killed_while_it_was_made_blocks_no_other(
    drill: Drill,
) -> None:
    own = drill.site.engine.execution_options(isolation_level="AUTOCOMMIT")
    with own.connect() as connection:
        # It has no comment yet.
        connection.exec_driver_sql("create database marketing_restoring")
    [places] = places_by_server(drill.settings)
    with RestoreServer.of(places) as server:
        server.require_usable(drill.backup, replace=True)
        server.drop("marketing_restoring")


def test_a_target_that_others_use_is_refused(drill: Drill) -> None:
    engine = create_engine(database_url(drill.settings), application_name="reports")
    with (
        engine.connect(),
        pytest.raises(StoreUnavailableError, match=r"the first as reports \(role marketing, data"),
    ):
        restore(drill.settings, drill.backup.id, replace=True, now=NOW, say=quiet)
    assert contents_of(drill.settings) == drill.after


def test_a_backup_of_another_zone_or_a_newer_release_is_refused(drill: Drill) -> None:
    berlin = drill.settings.model_copy(update={"timezone": "Europe/Berlin"})
    with pytest.raises(ConfigurationError, match="are those of UTC and MARKETING_TIMEZONE is Eur"):
        restore(berlin, drill.backup.id, replace=True, now=NOW, say=quiet)
    with pytest.raises(ConfigurationError, match="at schema 9999, which this release does not kn"):
        require_usable(dataclasses.replace(drill.backup, schema="9999"), drill.settings)


def test_a_backup_whose_secrets_no_key_opens_is_refused_before_anything_changes(
    drill: Drill,
) -> None:
    other = drill.settings.model_copy(update={"secret_key": "another"})
    with pytest.raises(ConfigurationError, match=r"another MARKETING_SECRET_KEY: .* --lost-key to"):
        restore(other, drill.backup.id, replace=True, now=NOW, say=quiet)
    # The key of the hashes of the erased person is none that can be given up.
    with pytest.raises(ConfigurationError, match="The key of the ledger of erasures"):
        restore(other, drill.backup.id, replace=True, lost_key=True, now=NOW, say=quiet)
    assert contents_of(drill.settings) == drill.after
    rotated = other.model_copy(update={"old_secret_keys": KEY_OF_PAGE})
    require_keys(drill.backup, rotated, lost=False)
    require_keys(drill.backup, other, lost=True)


def test_the_commands_of_the_page_release_what_is_held(drill: Drill) -> None:
    listed, resolved, resumed, *_ = drill.perform(drill.releasing)
    assert f"restored from {drill.backup.id}" in listed
    assert resolved == "2 messages are failed.\n"
    assert resumed.startswith("campaign spring-sale is active.\n")
    assert drill.site.rows("select state from delivery.messages order by id") == [
        ("failed",),
        ("failed",),
        ("sent",),
    ]
    paused = drill.site.rows("select queue from ops.queue_states where paused_at is not null")
    assert not {("send-email",), ("crm-events",)} & set(paused)
