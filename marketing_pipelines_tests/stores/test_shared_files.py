"""Processes with another data folder find the files of runs."""

import contextlib
import uuid
from pathlib import Path

import duckdb
import pytest

from marketing_pipelines.domains.analytics import warehouse
from marketing_pipelines.domains.upkeep.backups.contents import _reports
from marketing_pipelines.domains.upkeep.erasing.files import _pattern, _remove_reports
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.files import FileStore
from marketing_pipelines_tests.installation import Installation


@pytest.fixture(params=["folder", "object store"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place that `MARKETING_FILES_URL` names."""
    url = str(tmp_path / "files") if request.param == "folder" else f"memory://{uuid.uuid4()}"
    monkeypatch.setenv("MARKETING_FILES_URL", url)
    return url


def use(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works with this data folder from now on."""
    monkeypatch.setenv("MARKETING_DATA_DIR", str(data_folder))
    get_settings.cache_clear()


def test_reports_and_the_warehouse_of_one_machine_are_read_on_another(
    installation: Installation, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tmp_path / "one", monkeypatch)
    for job in ("analytics/warehouse", "campaigns/reports", "analytics/warehouse"):
        [done] = installation.run(job)
        assert done.status == "COMPLETED"
    use(tmp_path / "two", monkeypatch)
    settings = get_settings()
    page = FileStore.of_reports(settings, "campaigns").read("index.html")
    assert page.lstrip().lower().startswith(b"<!doctype html>")
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(FileStore.of_warehouse(settings).read(warehouse.PATH))
    with duckdb.connect(str(copy), read_only=True) as opened:
        assert opened.sql("select count(*) from organizations").fetchall() == [(0,)]
    left = [path.name for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert [name for name in left if "duckdb" in name or name.endswith(".html")] == []
    assert sorted(file.path for file in FileStore(shared).files()) == [
        "reports/campaigns/index.html",
        "warehouse.duckdb",
    ]
    assert [found.path for found in _reports(FileStore.of_reports(settings))] == [
        "campaigns/index.html"
    ]
    get_settings.cache_clear()


def test_reports_that_name_an_erased_person_go_wherever_they_are(shared: str) -> None:
    store = FileStore(f"{shared}/reports")
    for path in ("insights/acme/a.html", "insights/acme/b.html", "insights/other/a.html"):
        store.replace(path, b"<p>Jane Roe</p>" if path.endswith("a.html") else b"<p>Bob</p>")
    assert _remove_reports(store, "acme", _pattern("jane roe")) == 1
    assert [file.path for file in store.files()] == [
        "insights/acme/b.html",
        "insights/other/a.html",
    ]
    assert _remove_reports(store, "acme", None) == 0


def test_a_file_is_replaced_whole_or_not_at_all(shared: str) -> None:
    store = FileStore(shared)
    store.replace("a/b", b"old")
    with contextlib.suppress(KeyError), store.making("a/b") as temporary:
        temporary.write_bytes(b"half")
        raise KeyError
    assert store.read("a/b") == b"old"
    with store.making("a/b") as temporary:
        temporary.write_bytes(b"new")
    assert store.read("a/b") == b"new"
    assert [file.path for file in store.files()] == ["a/b"]
