"""The documentation says what the program does: generated pages, links, names, examples."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer

from marketing_pipelines import documentation
from marketing_pipelines.cli.main import app
from marketing_pipelines.querying import ask
from marketing_pipelines.settings import Settings, get_settings

ROOT = Path(documentation.__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXAMPLE = re.compile(r'marketing-pipelines query "([^"]+)"')

UNCOMMENTED = sa.text("""
    select namespace.nspname || '.' || relation.relname
           || coalesce('.' || attribute.attname, '') as name
    from pg_class as relation
    join pg_namespace as namespace on namespace.oid = relation.relnamespace
    cross join lateral (
        select null::name as attname, obj_description(relation.oid, 'pg_class') as comment
        union all
        select attname, col_description(attrelid, attnum)
        from pg_attribute
        where attrelid = relation.oid and attnum > 0 and not attisdropped
            and not relation.relispartition
    ) as attribute
    where namespace.nspname in ('analytics', 'campaigns', 'crm', 'ops')
        and relation.relkind in ('r', 'p', 'v', 'm')
        and coalesce(attribute.comment, '') = ''
    order by name
""")


def test_generated_pages_say_what_the_program_says(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        generated = documentation.pages(connection)
    assert set(generated) == {
        "data-dictionary.md",
        "segment-rule.schema.json",
        "settings.md",
        "step.schema.json",
        "timetable.md",
    }
    for name, text in generated.items():
        written = (documentation.DOCS / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is stale: run `make docs`"


def test_month_partitions_are_not_in_the_dictionary(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        before = documentation.data_dictionary(connection)
        connection.exec_driver_sql("select analytics.ensure_activity_month('2026-03-01')")
        assert documentation.data_dictionary(connection) == before


def test_every_relation_and_column_has_a_comment(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("select analytics.ensure_activity_month('2026-03-01')")
        assert connection.execute(UNCOMMENTED).scalars().all() == []


def test_every_setting_has_a_meaning() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"MARKETING_{name.upper()} has no description"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in _anchors(linked), f"{page.name} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_variable_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    known = set(group.commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"marketing-pipelines ([a-z][a-z-]*)\b", text)) <= known
    of_db = set(group.commands["db"].commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"marketing-pipelines db ([a-z]+)", text)) <= of_db
    settings = {f"MARKETING_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bMARKETING_[A-Z_]*[A-Z]\b", text)) <= settings


def test_the_examples_for_analysts_are_answered(engine: sa.Engine) -> None:
    examples = [
        (page.name, example)
        for page in PAGES
        for example in EXAMPLE.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(examples) >= 4
    for name, example in examples:
        for answer in ask(get_settings(), example):
            assert answer.columns, f"{name}: {example}"
            assert list(answer.rows) is not None


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}
