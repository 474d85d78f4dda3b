"""Docstrings begin with a verb or a noun phrase, and their first sentence is on one line."""

import ast
import re
from collections.abc import Iterator

import pytest

from marketing_pipelines.locations import PACKAGE

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
