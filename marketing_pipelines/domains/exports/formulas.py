"""Texts that spreadsheets take for formulas: a quote before one makes it a text again.

`load` takes one quote off a cell of quotes before one of these characters, so a text that has such
quotes already gets another one, and every text comes back as it was.
"""

import re

from psycopg import sql

# Patterns that PostgreSQL, DuckDB and Python read alike.
_ALWAYS = r"^'*[=@\t\r]|^'+[+-]"
_SIGNED = r"^[+-]"
_NUMBER = r"[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]+)?"
_PHONE = r"(?:[ ()./-]*[0-9]){7,15}"
_HARMLESS = rf"^(?:[+-]{_NUMBER}|[+]{_PHONE})$"


def defused(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    signed = re.search(_SIGNED, text) and not re.fullmatch(_HARMLESS[1:-1], text)
    return f"'{text}" if signed or re.search(_ALWAYS, text) else text


def defused_sql(text: sql.Composable) -> sql.Composable:
    """SQL of PostgreSQL for the same."""
    # Byte by byte, formulas sort before the letter A and not among the digits: few texts are left.
    quoted = sql.SQL("'''' || {}").format(text)
    return sql.SQL(
        "case when {text} ~<~ 'A' and ({text} ~<~ '0' or {text} ~>=~ ':') then"
        " case left({text}, 1)"
        " when '+' then case when {text} ~ {harmless} then {text} else {quoted} end"
        " when '-' then case when {text} ~ {number} then {text} else {quoted} end"
        " when '=' then {quoted} when '@' then {quoted} when {tab} then {quoted}"
        " when {return_} then {quoted}"
        " when '''' then case when {text} ~ {always} then {quoted} else {text} end"
        " else {text} end else {text} end"
    ).format(
        text=text,
        quoted=quoted,
        tab=sql.Literal("\t"),
        return_=sql.Literal("\r"),
        harmless=sql.Literal(_HARMLESS),
        number=sql.Literal(rf"^-{_NUMBER}$"),
        always=sql.Literal(_ALWAYS),
    )


def defused_duckdb(column: str) -> str:
    """SQL of DuckDB for the same, of a column whose name needs no quotes."""
    always, signed, harmless = (
        pattern.replace("'", "''") for pattern in (_ALWAYS, _SIGNED, _HARMLESS)
    )
    return (
        f"case when {column} < 'A' and (regexp_matches({column}, '{always}')"
        f" or regexp_matches({column}, '{signed}')"
        f" and not regexp_matches({column}, '{harmless}')) then '''' || {column}"
        f" else {column} end"
    )
