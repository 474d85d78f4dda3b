"""Kinds are declared by domains, and the page that teaches how to add one can be followed."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketing_pipelines import domains
from marketing_pipelines.loading import LoadResult, load_file, loadable
from marketing_pipelines.loading.kinds import kinds
from marketing_pipelines.locations import PACKAGE
from marketing_pipelines.settings import get_settings
from marketing_pipelines.stores.tables import metadata

PAGE = PACKAGE.parent / "docs" / "adding-a-kind.md"
FILE = re.compile(
    r"^`marketing_pipelines/domains/([\w/]+\.py)`:\n\n```python\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CSV = re.compile(r"^```csv\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def extra_domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of further domains; what it declares is gone afterwards."""
    folder = tmp_path / "domains"
    folder.mkdir()
    monkeypatch.setattr(domains, "__path__", [*domains.__path__, str(folder)])
    tables, modules = set(metadata.tables), set(sys.modules)
    importlib.invalidate_caches()
    kinds.cache_clear()
    yield folder
    kinds.cache_clear()
    for name in set(metadata.tables) - tables:
        metadata.remove(metadata.tables[name])
    for name in set(sys.modules) - modules:
        if name.startswith(f"{domains.__name__}."):
            del sys.modules[name]


def test_who_follows_the_page_loads_a_kind_of_its_own(
    engine: sa.Engine, extra_domains: Path, tmp_path: Path
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = dict(FILE.findall(text))
    assert list(files) == ["support/__init__.py", "support/tables.py", "support/load.py"]
    for name, code in files.items():
        (extra_domains / name).parent.mkdir(exist_ok=True)
        (extra_domains / name).write_text(code)
    assert "tickets" in loadable()
    with engine.begin() as connection:
        connection.exec_driver_sql("create schema support")
        kinds()["tickets"].table.create(connection)
    [cells] = CSV.findall(text)
    (tmp_path / "tickets.csv").write_text(cells)

    def load() -> LoadResult:
        return load_file(engine, "tickets", tmp_path / "tickets.csv", settings=get_settings())

    first, second = load(), load()
    assert (first.loaded, first.rejected) == (2, 1)
    assert first.stub_names == {"organizations": ["acme"], "contacts": ["c1"]}
    assert (second.loaded, second.changed, second.repeated, second.rejected) == (0, 0, 2, 1)
    with engine.connect() as connection:
        stored = connection.exec_driver_sql(
            "select ticket.external_id, contact.external_id, status, ticket.attributes"
            " from support.tickets as ticket"
            " left join crm.contacts as contact on contact.id = contact_id order by 1"
        )
        assert [tuple(row) for row in stored] == [
            ("t1", "c1", "open", {"priority": "high"}),
            ("t3", None, "open", {"priority": "low"}),
        ]


def test_a_kind_that_two_domains_declare_is_refused(extra_domains: Path) -> None:
    (extra_domains / "support").mkdir()
    (extra_domains / "support" / "__init__.py").touch()
    (extra_domains / "support" / "load.py").write_text(
        "from marketing_pipelines.domains.crm.load import KINDS\n"
    )
    with pytest.raises(RuntimeError, match=r"support\.load declares deals, which another"):
        kinds()
