"""Settings of the whole installation that stand in `jobs.toml`, a table for each part.

`[retention]`, for example. The settings of one organization are in its row, those of the
environment in `settings`.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from marketing_pipelines import jobs_file

MAX_DAYS = 36_500
# Insights whose pages are looked after.
DAYS_OF_PAGES = 60
MAX_KEPT_BACKUPS = 400
M = TypeVar("M", bound=BaseModel)


class RetentionSettings(BaseModel):
    """The table `[retention]`.

    Attributes:
        dry_run: True if the jobs only count what they would remove.
        days: Days that rows stay by table; 0 = for ever.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dry_run: bool = False
    days: dict[str, int] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _tables_are_keys(cls, values: Any) -> Any:
        given = dict(values)
        dry_run = given.pop("dry_run", False)
        for table, days in given.items():
            if isinstance(days, dict):
                raise ValueError(
                    f'write a table in quotes, as in "{table}.{next(iter(days))}" = 90'
                )
            if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= MAX_DAYS:
                raise ValueError(
                    f"{table} must be a number of days from 0 (for ever) to {MAX_DAYS:,}"
                )
        return {"dry_run": dry_run, "days": given}


class CredentialsSettings(BaseModel):
    """The table `[credentials]`.

    Attributes:
        warn_days: A grant whose refresh token ends within so many days is refreshed each night,
            and its owner is notified if that does not move the end.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    warn_days: int = Field(default=7, ge=0, le=365)


class ReportSettings(BaseModel):
    """The table `[reports]`.

    Attributes:
        keep_days: Days that pages of insights stay; 0 = for ever.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    keep_days: int = Field(default=400, ge=0, le=MAX_DAYS)

    @field_validator("keep_days")
    @classmethod
    def _longer_than_pages_are_written(cls, value: int) -> int:
        if 0 < value <= DAYS_OF_PAGES:
            raise ValueError(
                f"must be 0 (for ever) or more than {DAYS_OF_PAGES}: pages of the last "
                f"{DAYS_OF_PAGES} days are written again"
            )
        return value


class KeptBackups(BaseModel):
    """The numbers of backups that stay.

    Attributes:
        daily: Newest days whose last backup stays.
        weekly: Newest Sundays whose last backup stays.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    daily: int = Field(default=7, ge=1, le=MAX_KEPT_BACKUPS)
    weekly: int = Field(default=4, ge=0, le=MAX_KEPT_BACKUPS)


class BackupSettings(BaseModel):
    """The table `[backup]`.

    Attributes:
        keep: The backups that stay, such as `{ daily = 7, weekly = 4 }`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    keep: KeptBackups = KeptBackups()


class EndpointSettings(BaseModel):
    """The table `[webhooks]`.

    Attributes:
        disable_after_days: Days without a success after which an endpoint is disabled.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    disable_after_days: int = Field(default=3, ge=1, le=30)


TABLES: dict[str, type[BaseModel]] = {
    "backup": BackupSettings,
    "retention": RetentionSettings,
    "reports": ReportSettings,
    "credentials": CredentialsSettings,
    "webhooks": EndpointSettings,
}


def retention() -> RetentionSettings:
    """The table `[retention]`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    return _table("retention", RetentionSettings)


def backup() -> BackupSettings:
    """The table `[backup]`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    return _table("backup", BackupSettings)


def credentials() -> CredentialsSettings:
    """The table `[credentials]`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    return _table("credentials", CredentialsSettings)


def reports() -> ReportSettings:
    """The table `[reports]`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    return _table("reports", ReportSettings)


def webhooks() -> EndpointSettings:
    """The table `[webhooks]`.

    Raises:
        ConfigurationError: it cannot be used.
    """
    return _table("webhooks", EndpointSettings)


def validate() -> None:
    """Reads every table.

    Raises:
        ConfigurationError: one cannot be used; the sentence names the line.
    """
    for name, model in TABLES.items():
        _table(name, model)


def _table(name: str, model: type[M]) -> M:
    path = jobs_file.current()
    values = jobs_file.document(path).get(name, {})
    return jobs_file.validated(path, name, values, model, f"[{name}]")
