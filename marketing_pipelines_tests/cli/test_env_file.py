"""`.env` in the checkout: people's lines and one block that comes and goes with the server."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from marketing_pipelines import locations
from marketing_pipelines.cli import db
from marketing_pipelines.env_file import remove_block, write_block
from marketing_pipelines.failures import ConfigurationError
from marketing_pipelines.settings import Settings, get_settings
from marketing_pipelines.stores.embedded import EmbeddedPostgres

OWN = "# by hand\nMARKETING_TIMEZONE=Europe/Berlin\nOTHER=kept\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in an empty folder that is the working folder."""
    for name in ("MARKETING_TIMEZONE", "MARKETING_DATA_DIR", "MARKETING_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def test_a_block_is_replaced_whole_and_other_lines_stay(file: Path) -> None:
    file.write_text(OWN)
    write_block(file, {"MARKETING_DATA_DIR": "/one", "MARKETING_ENV": "staging"})
    write_block(file, {"MARKETING_DATA_DIR": "/two"})
    assert dotenv_values(file) == {
        "MARKETING_TIMEZONE": "Europe/Berlin",
        "OTHER": "kept",
        "MARKETING_DATA_DIR": "/two",
    }
    assert file.stat().st_mode & 0o777 == 0o600
    remove_block(file)
    assert file.read_text() == OWN


def test_a_file_that_holds_nothing_but_the_block_goes_with_it(file: Path) -> None:
    write_block(file, {"MARKETING_DATA_DIR": "/one"})
    remove_block(file)
    remove_block(file)
    assert not file.exists()


@pytest.mark.parametrize("value", ["it's", "back\\slash", "a # b", "$HOME", 'say "so"', " blank "])
def test_dagster_reads_every_value_as_it_was(file: Path, value: str) -> None:
    write_block(file, {"DAGSTER_STORAGE_URL": value})
    assert dotenv_values(file)["DAGSTER_STORAGE_URL"] == value


def test_a_value_that_the_file_would_change_is_refused(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^DAGSTER_STORAGE_URL contains '\$\{'"):
        write_block(file, {"DAGSTER_STORAGE_URL": "postgresql://a:${b}@c/d"})
    assert not file.exists()


def test_our_commands_read_peoples_lines_and_skip_the_block(file: Path) -> None:
    file.write_text(OWN)
    write_block(file, {"MARKETING_DATA_DIR": "/one", "MARKETING_ENV": "staging"})
    settings = Settings()
    assert settings.timezone == "Europe/Berlin"
    assert settings.env == "development"
    assert settings.data_dir == file.with_name(".data")


def test_the_environment_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(OWN)
    monkeypatch.setenv("MARKETING_TIMEZONE", "Asia/Tokyo")
    assert Settings().timezone == "Asia/Tokyo"


def test_a_start_that_cannot_write_the_file_leaves_nothing_running(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.mkdir()
    data = file.with_name("data")
    monkeypatch.setenv("MARKETING_DATA_DIR", str(data))
    monkeypatch.delenv("MARKETING_DATABASE_URL", raising=False)
    monkeypatch.setattr(locations, "PACKAGE", file.with_name("marketing_pipelines"))
    file.with_name("workspace.yaml").touch()
    get_settings.cache_clear()
    try:
        with pytest.raises(
            ConfigurationError, match=r"\.env' cannot be written \(Is a directory\)"
        ):
            db.start()
    finally:
        get_settings.cache_clear()
    assert not data.exists()
    assert not EmbeddedPostgres(data).status().running


@pytest.mark.parametrize("in_a_checkout", [True, False], ids=["in a checkout", "of a wheel"])
def test_stopping_removes_the_block_of_a_checkout_and_a_wheel_has_none(
    file: Path, monkeypatch: pytest.MonkeyPatch, in_a_checkout: bool
) -> None:
    monkeypatch.setenv("MARKETING_DATA_DIR", str(file.with_name("data")))
    monkeypatch.delenv("MARKETING_DATABASE_URL", raising=False)
    monkeypatch.setattr(locations, "PACKAGE", file.with_name("marketing_pipelines"))
    if in_a_checkout:
        file.with_name("workspace.yaml").touch()
    file.write_text(OWN)
    write_block(file, {"MARKETING_ENV": "staging"})
    with_block = file.read_text()
    get_settings.cache_clear()
    try:
        db.stop()
    finally:
        get_settings.cache_clear()
    assert file.read_text() == (OWN if in_a_checkout else with_block)
