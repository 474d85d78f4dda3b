"""The jobs of this domain."""

import datetime as dt

from marketing_pipelines import installation_settings
from marketing_pipelines.domains.upkeep import sources
from marketing_pipelines.domains.upkeep.backups.taking import take_backup
from marketing_pipelines.domains.upkeep.erasing.passes import erase_pending
from marketing_pipelines.domains.upkeep.lake import check_lake
from marketing_pipelines.domains.upkeep.old_files import clean_up
from marketing_pipelines.domains.upkeep.removal import (
    apply_rules,
    note_full_tables,
    remove_expired_sessions,
)
from marketing_pipelines.domains.upkeep.vacuum import vacuum_tables
from marketing_pipelines.jobs.domain import Domain
from marketing_pipelines.jobs.resources import EventLake
from marketing_pipelines.policies import exponential
from marketing_pipelines.queueing import control
from marketing_pipelines.registry import Team
from marketing_pipelines.runs.history import KEPT, purge_runs
from marketing_pipelines.runs.tick import Tick

UPKEEP = Domain("upkeep", owner=Team.PLATFORM)


@UPKEEP.job(cron="0 0 * * *", deps=[sources.tasks], environments=["production"])
def queue_history(tick: Tick) -> None:
    """Removes finished tasks beyond what their queue keeps; dead letters stay."""
    removed = control.remove_all_history(tick.begin, tick.instant)
    tick.rows = sum(removed.values())
    tick.metadata["removed"] = removed


@UPKEEP.job(cron="0 0 * * *", deps=[sources.sign_ins], environments=["production"])
def expired_sessions(tick: Tick) -> None:
    """Removes sign-ins that have expired."""
    remove_expired_sessions(tick)


@UPKEEP.job(cron="0 0 * * *", deps=[sources.audit_log], environments=["production"], items=True)
def audit_logs(tick: Tick) -> None:
    """Removes entries of the audit log of more than 90 days ago."""
    apply_rules(tick, dry_run=installation_settings.retention().dry_run)


@UPKEEP.job(cron="0 1 * * *", deps=[sources.sessions], environments=["production"], items=True)
def job_sessions(tick: Tick) -> None:
    """Removes sessions of jobs that began more than 90 days ago; their totals stay."""
    apply_rules(tick, dry_run=installation_settings.retention().dry_run)


@UPKEEP.job(cron="15 1 * * *", deps=[sources.tables], environments=["production"], items=True)
def old_rows(tick: Tick) -> None:
    """Removes the rows of every other table that are older than its rule says."""
    with tick.begin() as connection:
        note_full_tables(connection)
    apply_rules(tick, dry_run=installation_settings.retention().dry_run)


@UPKEEP.job(cron="0 0 * * *", deps=[sources.files], environments=["production"])
def old_files(tick: Tick) -> None:
    """Removes logs, unfinished files, pages of days, exports, raw mail and leftovers."""
    clean_up(tick, dry_run=installation_settings.retention().dry_run)


@UPKEEP.job(
    cron="0 3 * * 0",
    deps=[sources.tables, sources.lake],
    environments=["production"],
    timeout=dt.timedelta(hours=2),
    kinds={"postgres", "parquet"},
)
def database(tick: Tick, lake: EventLake) -> None:
    """Vacuums tables full of dead rows, and compares the files of the lake with their manifest."""
    tick.metadata["vacuumed"] = vacuum_tables(tick)
    check_lake(tick, lake.open())


@UPKEEP.job(
    cron="0 4 * * *",
    deps=[sources.tables, sources.lake, sources.files],
    environments=["production"],
    needs="backup_url",
    timeout=dt.timedelta(hours=6),
    retries=exponential(3, 60),
    kinds={"postgres", "parquet"},
)
def backup(tick: Tick) -> None:
    """Backs up databases, lake, raw mail and reports; removes backups that are no longer kept."""
    taken = take_backup(
        tick.connection.engine, tick.settings, tick.instant, say=tick.context.log.info
    )
    tick.rows = taken.contents.count
    tick.metadata |= taken.numbers | {"backup": taken.backup.id}


@UPKEEP.job(
    cron="30 3 * * *",
    deps=[sources.tables, sources.lake],
    timeout=dt.timedelta(hours=2),
    items=True,
    kinds={"postgres", "parquet"},
)
def erasures(tick: Tick, lake: EventLake) -> None:
    """Erases the events of persons whose rows were erased, and looks for later rows of them."""
    erase_pending(tick, lake.open())


@UPKEEP.job(cron="0 1 * * *", deps=[sources.runs])
def run_history(tick: Tick) -> None:
    """Removes Dagster's runs of more than a week ago that worked no partition."""
    tick.rows = purge_runs(tick.context.instance, before=tick.instant - KEPT)
