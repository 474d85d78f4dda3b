"""`doctor`: every store, setting and version, one line each."""

import datetime as dt
import functools
import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

import sqlalchemy as sa
import typer

from marketing_pipelines import addresses
from marketing_pipelines.cli import running_up
from marketing_pipelines.cli.session import connected, dagster_home, dagster_instance
from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.analytics.tables import lake_hours
from marketing_pipelines.domains.crm.tables import contacts, organizations
from marketing_pipelines.domains.operations.requests import is_partition
from marketing_pipelines.engines.choice import open_engine
from marketing_pipelines.failures import ConfigurationError, MarketingPipelinesError
from marketing_pipelines.freshness import stale_partitions
from marketing_pipelines.freshness.partitions import registered, window
from marketing_pipelines.locations import INSTANCE_FILE, configuration_file
from marketing_pipelines.policies import overrides
from marketing_pipelines.redaction import redact
from marketing_pipelines.settings import Settings, get_settings, unknown_variables
from marketing_pipelines.stores import embedded_orphans, zone_table
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines.stores.lake import Lake
from marketing_pipelines.stores.postgres import (
    clock_skew,
    connecting,
    create_engine,
    dagster_database_url,
    reader_url,
)
from marketing_pipelines.stores.schema import (
    ensure_database,
    functions_open_to_reader,
    installation_id,
)
from marketing_pipelines.stores.session_settings import require_kept
from marketing_pipelines.zones import VERSION

if TYPE_CHECKING:
    from dagster import DagsterInstance

MAX_SKEW = dt.timedelta(seconds=60)
PACKAGES = ("dagster", "dagster-postgres", "duckdb", "pyarrow", "sqlalchemy", "psycopg")


def doctor() -> None:
    """Check every store, setting and version; exit 1 if something needs attention."""
    healthy = True
    for name, check in _checks():
        try:
            print(redact(f"ok       {name}: {check()}"))
        except Exception as error:  # the other checks are worth seeing
            healthy = False
            print(redact(f"problem  {name}: {_sentence(error)}"))
    if not healthy:
        raise typer.Exit(1)


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "python", lambda: sys.version.split()[0]
    yield "packages", lambda: ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)
    yield "settings", _settings
    try:
        settings = get_settings()
    except MarketingPipelinesError:
        return
    yield "lake", lambda: _lake(settings)
    yield "engine", lambda: open_engine(settings).check()
    yield "data folder", lambda: _data_folder(settings)
    yield "paths of this machine", lambda: local_paths(settings)
    yield "orphaned databases", _orphans
    yield "postgresql", lambda: _postgres(settings)
    yield "lake and database", lambda: check_same_installation(settings)
    yield "dagster database", lambda: _dagster_database(settings)
    yield "dagster instance", lambda: check_dagster_instance(settings)
    yield "clock", check_clock
    yield "zones", check_zones
    yield "definitions", check_definitions
    yield "alerts", lambda: _alerts(settings)
    yield "backups", lambda: check_backups(settings)
    yield "restores", lambda: check_restores(settings)
    yield "marks", lambda: _marks(settings)
    # The clients of the services are for the commands that use them.
    from marketing_pipelines.cli import doctor_of_channels as of_channels

    for channel in of_channels.CHANNELS:
        yield f"channel {channel}", functools.partial(of_channels.check_channel, settings, channel)
    yield "servers of domains", functools.partial(of_channels.check_own_servers, settings)
    if settings.env != "development" and settings.smtp_url is not None:
        yield "mail domains", of_channels.check_mail_domains
    if settings.redis_url is not None:
        yield "redis", lambda: of_channels.check_redis(str(settings.redis_url))
    if any((settings.model_url, settings.model_name, settings.model_key)):
        yield "model", lambda: of_channels.check_model(settings)


def _sentence(error: Exception) -> str:
    if isinstance(error, MarketingPipelinesError):
        return str(error)
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no message')}"


def _settings() -> str:
    settings = get_settings()
    if unknown := unknown_variables():
        raise ConfigurationError(" ".join(map(said_of_unknown, unknown.items())))
    return (
        f"this shell's: {settings.env}, days of {settings.timezone}, engine {settings.engine}; "
        f"{_settings_of_up(settings)}"
    )


def said_of_unknown(variable: tuple[str, str | None]) -> str:
    """The sentence about a variable that is no setting."""
    name, near = variable
    return f"{name} is no setting of this release: " + (
        f"did you mean {near}?" if near else "remove it, `docs/settings.md` lists them."
    )


def _settings_of_up(settings: Settings) -> str:
    running = running_up.found(settings)
    if running is None:
        return "no `up` runs with this data folder"
    if not running.differs:
        return f"the running `up`, process {running.pid}, uses the same"
    return (
        f"the running `up`, process {running.pid}, uses another {', '.join(running.differs)}, so "
        "what follows may not hold for it"
    )


def _data_folder(settings: Settings) -> str:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"The folder {settings.data_dir} cannot be written ({error.strerror}): check "
            "MARKETING_DATA_DIR."
        ) from error
    return str(settings.data_dir)


def _lake(settings: Settings) -> str:
    lake = Lake(settings.effective_lake_url)
    lake.check_writable()
    return f"{settings.effective_lake_url}, {lake.size() / 1e6:.1f} MB"


def local_paths(settings: Settings) -> str:
    """Places on this machine alone, which processes of other machines would not find."""
    stores = {
        "lake": (FileStore(settings.effective_lake_url), "MARKETING_LAKE_URL"),
        "raw mail and exports": (FileStore(settings.effective_files_url), "MARKETING_FILES_URL"),
        "reports": (FileStore.of_reports(settings), "MARKETING_FILES_URL"),
        warehouse.PATH: (FileStore.of_warehouse(settings), "MARKETING_FILES_URL"),
    }
    found = [
        f"{name} in {store.folder} ({setting})"
        for name, (store, setting) in stores.items()
        if store.folder is not None
    ]
    if settings.database_url is None:
        found.append(f"PostgreSQL in {settings.data_dir} (MARKETING_DATABASE_URL)")
    if settings.secret_key is None:
        found.append(f"the key in {settings.data_dir / 'secret_key'} (MARKETING_SECRET_KEY)")
    always = (
        f"logs of runs, {settings.jobs_file.name} and the outbox are in {settings.data_dir} of each"
    )
    return f"{'; '.join(found)}; {always}" if found else always


def _orphans() -> str:
    """Clusters of root's deleted data folders: they take space, and nothing else is wrong."""
    found = [cluster for cluster in embedded_orphans.clusters() if cluster.is_orphan]
    if not found:
        return "none"
    size = sum(cluster.size_bytes for cluster in found) / 1e6
    return (
        f"{len(found)} of deleted or moved data folders, {size:.0f} MB: `marketing-pipelines db "
        "list` names them, `db destroy` deletes them"
    )


def _postgres(settings: Settings) -> str:
    """Version, pooler, zone (all by migrating), the reader's role, the work."""
    with connected() as (_, engine):
        with engine.connect() as connection:
            version = connection.exec_driver_sql("show server_version").scalar_one()
            hours = connection.execute(sa.select(sa.func.count()).select_from(lake_hours))
            numbers = f"{hours.scalar_one()} hours exported"
        url = reader_url(settings)
        with connecting(url), create_engine(url).connect() as reader:
            require_kept(reader, "MARKETING_READER_DATABASE_URL")
            left = functions_open_to_reader(reader)
    text = f"version {version}, no transaction pooler, {numbers}"
    if left:
        text += (
            f"; analysts may call {', '.join(left)} until a superuser runs the statement on "
            "the page for operators (An external PostgreSQL)"
        )
    return text


def check_same_installation(settings: Settings) -> str:
    """The identity that lake and database share; a lake without one gets it."""
    with connected() as (_, engine), engine.connect() as connection:
        identity = installation_id(connection)
    Lake(settings.effective_lake_url).claim(identity)
    return f"both are installation {identity}"


def _dagster_database(settings: Settings) -> str:
    with connected():
        url = dagster_database_url(settings)
        ensure_database(url)
        ours = url.set(drivername="postgresql+psycopg")
        with connecting(ours), create_engine(ours).connect() as connection:
            size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
            return f"{url.database}, {connection.execute(size).scalar_one() / 1e6:.0f} MB"


def check_dagster_instance(settings: Settings) -> str:
    """Asks the instance that our commands open where it keeps its rows."""
    expected = dagster_database_url(settings).render_as_string(hide_password=False)
    with connected(), dagster_instance() as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        elsewhere = {
            type(storage).__name__
            for storage in storages
            if getattr(storage, "postgres_url", None) != expected
        }
        switched_off = [
            name
            for name, is_on in (
                ("run_retries", instance.run_retries_enabled),
                ("run_monitoring", instance.run_monitoring_enabled),
            )
            if not is_on
        ]
        # Another kind of storage has no session to ask.
        zone = None if elsewhere else session_zone(instance)
    file = configuration_file(INSTANCE_FILE)
    if elsewhere:
        raise ConfigurationError(
            f"Dagster keeps runs and events elsewhere ({', '.join(sorted(elsewhere))}) than in the "
            f"database of this installation: correct `storage` in {file}."
        )
    if zone != "UTC":
        raise ConfigurationError(
            f"Dagster's sessions are in {zone}, and its columns have no zone: run `alter role … in "
            "database … set timezone to 'UTC'` for its role and database."
        )
    if switched_off:
        raise ConfigurationError(f"{', '.join(switched_off)} is off: switch it on in {file}.")
    return f"home {dagster_home(settings)}, runs are monitored and tried again"


def session_zone(instance: "DagsterInstance") -> str:
    """The time zone of the sessions in which Dagster itself writes."""
    storage: Any = instance.run_storage
    with storage.connect() as connection:
        return str(connection.exec_driver_sql("show timezone").scalar_one())


def check_clock(here: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> str:
    """Compares the server's clock with this machine's: an hour is over by the server's clock."""
    with connected() as (_, engine), engine.connect() as connection:
        skew = clock_skew(connection, here)
    seconds = round(skew.total_seconds())
    if abs(skew) >= MAX_SKEW:
        raise ConfigurationError(
            f"PostgreSQL's clock is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'} of "
            "this machine's: set both by NTP, or jobs work for instants that are not over."
        )
    return f"PostgreSQL's differs by {abs(seconds)} s"


def check_zones() -> str:
    """Compares the zones in use with `ops.zones`, and with the server's own."""
    named = [
        sa.select(table.c.timezone).where(table.c.timezone.is_not(None))
        for table in (contacts, organizations)
    ]
    with connected() as (settings, engine), engine.connect() as connection:
        used = {settings.timezone, *connection.execute(sa.union(*named)).scalars()}
        known = sorted(used & available_timezones())
        differing = zone_table.differing(connection, known)
        stored = zone_table.stored_version(connection) or ""
        others = zone_table.read_otherwise_by_the_server(connection, known, dt.datetime.now(dt.UTC))
    if differing and stored > VERSION:
        raise ConfigurationError(
            f"ops.zones is of tzdata {stored.split()[0]} and Python here reads "
            f"{', '.join(differing)} by {VERSION.split()[0]}: upgrade the package tzdata here."
        )
    if differing:
        raise ConfigurationError(
            f"ops.zones does not hold what the package tzdata says of {', '.join(differing)}: run "
            "`update ops.installation set zones_version = null`, then `marketing-pipelines "
            "migrate`."
        )
    text = f"{len(known)} in use, all as in tzdata {VERSION.split()[0]}"
    if unknown := sorted(used - set(known)):
        text += f"; {len(unknown)} names are no zones and are passed over, such as '{unknown[0]}'"
    if others:
        text += (
            f"; PostgreSQL itself reads {', '.join(others)} otherwise, which matters to SQL of "
            "your own with `at time zone` only"
        )
    return text


def _marks(settings: Settings) -> str:
    """Marked partitions, and those among them that nothing will ever do."""
    with connected() as (_, engine), engine.connect() as connection:
        pending = stale_partitions.pending(connection)
    if not_declared := pending.keys() - registered().keys():
        raise ConfigurationError(
            f"{', '.join(sorted(not_declared))} has marked partitions and is not loaded: see "
            "`definitions`."
        )
    windows = [
        window(registered()[asset].grain, key, settings.zone)
        for asset, found in pending.items()
        for key in found.requested
    ]
    waiting = [w for w in windows if is_partition(w, settings.first_day)]
    # Not days: hours reach back to the UTC day before, whose label is no partition.
    lost = [w.key for w in windows if w.grain == "hour" and w not in waiting]
    if lost:
        raise ConfigurationError(
            f"{len(lost)} marked partitions lie before the first day, {settings.first_day}, the "
            f"first {min(lost)}: set MARKETING_FIRST_DAY earlier or delete their events."
        )
    return f"{len(waiting)} partitions wait to be done"


def _alerts(settings: Settings) -> str:
    found = addresses.read(settings.alert_urls)
    if not found:
        return "MARKETING_ALERT_URLS is not set: alerts stay in ops.alerts, undelivered"
    addresses.require_usable(found)
    return f"apprise can use each address of MARKETING_ALERT_URLS ({len(found)})"


def check_backups(settings: Settings) -> str:
    """The newest backup; production must have a place for them, and programs that make them."""
    from marketing_pipelines.domains.upkeep.backups.dumps import PostgresTools
    from marketing_pipelines.stores.backups import BackupStore

    if settings.backup_url is None and settings.env != "production":
        return "MARKETING_BACKUP_URL is not set: none are made, as outside production"
    store, tools = BackupStore.of(settings), PostgresTools(settings)
    with connected() as (_, engine), engine.connect() as connection:
        tools.require_for(int(connection.exec_driver_sql("show server_version_num").scalar_one()))
    latest = store.latest()
    newest = "none yet" if latest is None else f"the newest is {latest.id}"
    return f"{store.files.url}, {newest}; pg_dump {tools.major}"


def check_restores(settings: Settings) -> str:
    """Folders and databases that killed verifications and restores left."""
    from marketing_pipelines.domains.upkeep.backups.leftovers import left

    with connected():
        found = left(settings)
    if not found:
        return "none is unfinished, and none has left a folder or database"
    return f"{', '.join(found)} left: `upkeep/old_files` removes each after a day"


def check_definitions() -> str:
    import time

    started = time.monotonic()
    from marketing_pipelines.definitions import defs
    from marketing_pipelines.registry import import_errors, unloaded

    if import_errors:
        reasons = "; ".join(f"{module}: {reason}" for module, reason in import_errors.items())
        raise ConfigurationError(f"Files that cannot be imported are left out: {reasons}")
    if unloaded:
        raise ConfigurationError(
            f"Definitions in domains/{', domains/'.join(unloaded)} are not loaded: move them into "
            "the sources.py, jobs.py or sensors.py of a domain."
        )
    keys = defs.resolve_all_asset_keys()
    changed = f", {len(overrides())} changed by jobs.toml" if overrides() else ""
    return f"{len(keys)} assets in {time.monotonic() - started:.2f} s{changed}"
