"""Docstrings begin with a verb or a noun phrase; code and pages use plain, modern words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketing_pipelines.locations import PACKAGE

ROOT = PACKAGE.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Released migrations stay as they are.
CODE = sorted(
    path
    for path in PACKAGE.rglob("*")
    if path.suffix in {".py", ".sql", ".html"} and not path.is_relative_to(PACKAGE / "migrations")
)
# Words that slow readers down, in names and comments too: "claimed" is plainer than "in hand".
DIALECT = re.compile(
    r"(?<![a-z])(whom|whoever|beside|in hand|(?:is|are|was|were|be) told|nobody knows|strikes?|"
    r"struck|heed(?:s|ed)?|has begun|well again)(?![a-z])",
    re.IGNORECASE,
)
# Sentences, list items and cells of tables without a named subject.
HEADLESS_SENTENCE = re.compile(
    r"(?:^|[.!:|] |\*\* |^[-*] )(What|Who|Whoever|Whom|Whose|Whether|Nobody|Everybody|Those)\b"
    r"(?![^.|\n]*\?)",
    re.MULTILINE,
)

# First words of sentences that have no subject with a name.
HEADLESS = set(
    re.findall(
        r"\w+",
        "Are Can Did Everybody Everyone Had Has Have How If Is May Must Nobody Of Should Somebody "
        "That Those Was Were What Whatever When Whenever Where Wherever Whether Which Who Whoever "
        "Whom Whose Why Will",
    )
)


@pytest.mark.parametrize(
    ("docstring", "problem"),
    [
        ("Returns the lock.", None),
        ("The lock of a job. It is freed\nwith its connection.", None),
        ("`env_file`: the block of `db start`.", None),
        ("Whether the lock is free.", "begins with 'Whether'"),
        ("Has the worker stop.", "begins with 'Has'"),
        ("Returns the lock of a job that\nis free.", "has no whole sentence on its first line"),
        ("Returns the lock", "has no whole sentence on its first line"),
    ],
)
def test_a_docstring_is_judged_by_its_first_word_and_line(
    docstring: str, problem: str | None
) -> None:
    assert _problem_of(docstring) == problem


def test_every_docstring_begins_with_a_verb_or_a_noun_phrase_and_a_sentence_on_one_line() -> None:
    problems = [
        f"{path.relative_to(PACKAGE)}:{line}: {problem}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, docstring in _docstrings(path.read_text(encoding="utf-8"))
        if (problem := _problem_of(docstring)) is not None
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A contact that waits is claimed.", []),
        ("The contacts in\n-- hand, beside those whom it held.", ["in hand", "beside", "whom"]),
        ("The worker is told to stop. The clock struck.", ["is told", "struck"]),
        ("A striking besides.", []),
    ],
)
def test_words_of_the_dialect_are_found_over_the_ends_of_lines(text: str, words: list[str]) -> None:
    assert _dialect_in(text) == words


def test_code_has_no_words_of_the_dialect() -> None:
    assert len(CODE) > 300
    assert _words_by_file(CODE) == {}


def test_pages_have_no_words_of_the_dialect_and_no_sentence_without_a_subject() -> None:
    assert len(PAGES) > 60
    assert _words_by_file(PAGES) == {}
    headless = {
        str(page.relative_to(ROOT)): found
        for page in PAGES
        if (found := HEADLESS_SENTENCE.findall(page.read_text(encoding="utf-8")))
    }
    assert headless == {}


def _words_by_file(paths: list[Path]) -> dict[str, list[str]]:
    return {
        str(path.relative_to(ROOT)): found
        for path in paths
        if (found := _dialect_in(path.read_text(encoding="utf-8")))
    }


def _dialect_in(text: str) -> list[str]:
    """The words of the dialect in a text, whose lines may begin as comments do."""
    return DIALECT.findall(re.sub(r"\s+(?:(?:#|--)\s+)?", " ", text))


def _problem_of(docstring: str) -> str | None:
    word = re.match(r"\W*([\w'-]*)", docstring)
    assert word is not None
    if word[1] in HEADLESS:
        return f"begins with '{word[1]}'"
    if not re.search(r"[.!?](\s|$)", docstring.splitlines()[0]):
        return "has no whole sentence on its first line"
    return None


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, its classes and its functions, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring
