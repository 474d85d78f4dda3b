"""The documentation says what the program does: generated pages, links, names, examples."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer

from marketing_pipelines import documentation, registry
from marketing_pipelines.api.tokens import SCOPES
from marketing_pipelines.cli.main import app
from marketing_pipelines.domains import load_jobs
from marketing_pipelines.job_sources import covering_test, files_of
from marketing_pipelines.querying import ask
from marketing_pipelines.settings import Settings, get_settings

ROOT = Path(documentation.__file__).resolve().parent.parent
TESTS = ROOT / "marketing_pipelines_tests"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXAMPLE = re.compile(r'marketing-pipelines query "([^"]+)"')
# A command with what follows it, up to the end of its line, code span or comment.
COMMAND = re.compile(r"marketing-pipelines (?=[a-z-])([^`\n#|]+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# Options that pages name alone and that are Dagster's or of the benchmarks.
OF_OTHER_PROGRAMS = {"--select", "--folder", "--json", "--messages", "--repeat"}
# A link to a module, and the names in it that the page mentions.
NAMES_IN_MODULE = re.compile(r"\]\((\.\./marketing_pipelines/[\w/]+\.py)\)((?: `\w+`)+)")

# Every schema that the migrations make, but for Procrastinate's own.
SCHEMAS = sa.text("""
    select nspname from pg_namespace
    where nspname not in ('information_schema', 'pg_catalog', 'pg_toast', 'procrastinate', 'public')
        and nspname not like 'pg_temp_%' and nspname not like 'pg_toast_temp_%'
    order by nspname
""")
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
    where namespace.nspname = any(:schemas)
        and relation.relkind in ('r', 'p', 'v', 'm')
        and coalesce(attribute.comment, '') = ''
    order by name
""")


def test_generated_pages_say_what_the_program_says(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        generated = documentation.pages(connection)
    assert set(generated) == {
        "data-dictionary.md",
        "events.md",
        "export-columns.md",
        "segment-rule.schema.json",
        "settings.md",
        "step.schema.json",
        "timetable.md",
        "webhooks.md",
    }
    for name, text in generated.items():
        written = (documentation.DOCS / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is stale: run `make docs`"


def test_the_database_knows_the_registered_consumers() -> None:
    for name, text in documentation.functions().items():
        written = (documentation.FUNCTIONS / name).read_text(encoding="utf-8")
        assert written == text, f"schema/functions/{name} is stale: run `make docs`"


def test_month_partitions_are_not_in_the_dictionary(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        before = documentation.data_dictionary(connection)
        connection.exec_driver_sql("select analytics.ensure_activity_month('2026-03-01')")
        assert documentation.data_dictionary(connection) == before


def test_every_relation_and_column_has_a_comment(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("select analytics.ensure_activity_month('2026-03-01')")
        schemas = connection.execute(SCHEMAS).scalars().all()
        assert set(documentation.SCHEMAS) <= set(schemas)
        uncommented = connection.execute(UNCOMMENTED, {"schemas": schemas}).scalars().all()
    assert uncommented == []


def test_every_setting_has_a_meaning() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"MARKETING_{name.upper()} has no description"


def test_every_scope_of_a_token_is_documented() -> None:
    page = (documentation.DOCS / "operators.md").read_text(encoding="utf-8")
    section = page.partition("### Token scopes")[2].partition("\n#")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(SCOPES)


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
    for command in COMMAND.findall(text):
        assert _unknown_words(command.split()) == [], f"marketing-pipelines {command}"
    alone = {option for span in re.findall(r"`(--[^`]+)`", text) for option in OPTION.findall(span)}
    assert alone <= _options_of_all() | OF_OTHER_PROGRAMS
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
            for row in answer.rows:
                assert len(row) == len(answer.columns), f"{name}: {example}"


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_every_name_that_a_page_gives_with_its_file_is_defined_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = NAMES_IN_MODULE.findall(text)
    assert len(named) >= 15
    for path, names in named:
        defined = _defined_in(ROOT / "docs" / path)
        for name in re.findall(r"\w+", names):
            assert name in defined, f"{page}: {path} defines no {name}"


def test_the_glossary_is_in_order_and_each_word_is_one_sentence() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| ", text, re.MULTILINE)
    words = [word for word, _ in rows]
    assert words == sorted(words)
    assert {"tick", "session", "intent", "item", "mark", "rotation", "lease", "stub"} <= set(words)
    for word, meaning in rows:
        assert re.fullmatch(r"[A-Z][^.]*(?:\.\w[^.]*)*\.", meaning), f"{word}: {meaning}"


def test_the_index_links_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.*")} - {"README.md"}
    assert pages <= set(LINK.findall(index))


def test_the_index_of_decisions_links_to_every_decision_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for path in sorted(folder.glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        number, _, words = title.partition(". ")
        assert f"{number}. [{words}]({path.name})" in index, path.name


def test_contributing_lists_the_layers_and_the_order_of_domains_that_the_linter_checks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {c["name"]: c for c in project["tool"]["importlinter"]["contracts"]}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [block] = re.findall(r"## Where things are\n\n```\n(.*?)```", text, re.DOTALL)
    listed = [name for line in block.splitlines() for name in re.split(r"\s{2,}", line)[0].split()]
    layers = [
        name.strip().removeprefix("marketing_pipelines.")
        for layer in contracts["Layers"]["layers"]
        for name in layer.split("|")
    ]
    assert listed == layers
    [order] = re.findall(r"the order of the domains: ([a-z, ]+)\.", text)
    assert order.split(", ") == contracts["Domains in one order"]["layers"]


def test_the_decision_on_dependencies_lists_each_and_each_internal_of_dagster() -> None:
    text = (ROOT / "docs" / "decisions" / "0008-dependencies.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(name for extra in extras for name in extra)]
    for requirement in declared:
        [name] = re.findall(r"^[\w-]+", requirement)
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", text), f"{name} is not in the table"
    rows = re.findall(r"^\| (`dagster\._.+?) \| (.+?) \|", text, re.MULTILINE)
    listed = {
        (module, file)
        for modules, files in rows
        for module in re.findall(r"`([\w.]+)`", modules)
        for file in re.findall(r"`([\w/]+\.py)`", files)
    }
    package = ROOT / "marketing_pipelines"
    imports = {
        (module, str(path.relative_to(package)))
        for path in package.rglob("*.py")
        for module in re.findall(r"from (dagster\._[\w.]+) import", path.read_text("utf-8"))
    }
    assert imports <= listed
    assert {module for module, _ in listed} == {module for module, _ in imports}


def test_the_error_sentences_that_operators_look_up_are_in_the_code() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    section = page.partition("## Error sentences")[2].partition("\n## ")[0]
    sentences = re.findall(r"^\| `(.+?)`", section, re.MULTILINE)
    assert len(sentences) >= 25
    texts = list(_texts_by_file())
    for sentence in sentences:
        parts = [part.strip(" '") for part in re.split(r"…|: |\b\d+\b", sentence)]
        assert any(all(part in text for part in parts) for text in texts), sentence


def _texts_by_file() -> Iterator[str]:
    """The texts in the code of each file of the package, SQL files whole."""
    package = ROOT / "marketing_pipelines"
    for path in package.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        constants = (node.value for node in nodes if isinstance(node, ast.Constant))
        yield "\n".join(value for value in constants if isinstance(value, str))
    for path in package.rglob("*.sql"):
        yield path.read_text(encoding="utf-8")


def _defined_in(module: Path) -> set[str]:
    """The names that a module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _unknown_words(words: list[str]) -> list[str]:
    """The words of a command line that are no command or option of the program."""
    command: Any = typer.main.get_command(app)
    options = {option for parameter in command.params for option in parameter.opts}
    unknown = []
    for word in words:
        if word.startswith("--"):
            [option] = OPTION.findall(word) or [word]
            if option not in {*options, "--help"}:
                unknown.append(word)
        elif word.isupper():
            break
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return [*unknown, word]
            command = command.commands[word]
            options |= {option for parameter in command.params for option in parameter.opts}
    return unknown


def _options_of_all() -> set[str]:
    return {
        option
        for command in _commands(typer.main.get_command(app))
        for parameter in command.params
        for option in (*parameter.opts, "--help")
    }


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _commands(inner)


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def test_the_timetable_leads_from_each_job_to_its_statements_and_its_test() -> None:
    """One step from the time of a job to its SQL, or to the module that builds it."""
    load_jobs()
    for job in registry.jobs().values():
        files, test = files_of(job), covering_test(job)
        assert test is not None, job.key
        assert job.key in test.read_text() or job.key.rpartition("/")[2] in test.stem, job.key
        assert all(path.is_file() for path in [files.logic, *files.sql]), job.key
    stale = registry.jobs()["journeys/stale_executions"]
    assert "cancel_stale.sql" in [path.name for path in files_of(stale).sql[:3]]
    assert covering_test(stale) == TESTS / "journeys" / "test_stale.py"
    assert files_of(registry.jobs()["campaigns/completions"]).logic.name == "completions.py"
