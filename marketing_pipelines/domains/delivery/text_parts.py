"""The part that a mail lacks, made from the template of the other: its text, or its HTML.

Like CSS, it is made once for each content, before it is filled in: expressions are hidden from the
HTML parser as words meanwhile, and stand in the HTML of a text as they are.
"""

import html as markup
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marketing_pipelines.domains.delivery.inlining import EXPRESSION

_BLANK_LINES = re.compile(r"\n\s*\n\s*")
_URL_FIELD = r"\{\{\s*(?:\w+_)?url\s*\}\}"
# In a text: an address, with its expressions but not with the full stop after it; a field that
# holds one; another expression.
_PIECE = re.compile(
    rf"(?P<url>https?://(?:{EXPRESSION.pattern}|[^\s<>{{}}])*(?:{EXPRESSION.pattern}|[\w/=&#%+~-])"
    rf"|{_URL_FIELD})|(?P<expression>{EXPRESSION.pattern})",
    re.DOTALL,
)
_STATEMENT = re.compile(r"\s*(?:\{%.*?%\}|\{#.*?#\})\s*", re.DOTALL)
_PAGE = "<html><body>\n{}\n</body></html>\n"


def with_both_parts(content: Mapping[str, Any]) -> dict[str, Any]:
    """A mail's content with text and HTML, each made from the other where it is missing."""
    parts = dict(content)
    if parts.get("text") is None:
        parts["text"] = text_of(parts["html"])
    elif parts.get("html") is None:
        parts["html"] = html_of(parts["text"])
    return parts


@lru_cache(maxsize=500)
def html_of(text: str) -> str:
    """The HTML of a template of text: its paragraphs, lines and links, everything else escaped."""
    paragraphs = _BLANK_LINES.split(text.replace("\r\n", "\n").strip())
    return _PAGE.format("\n".join(_paragraph(one) for one in paragraphs))


def _paragraph(text: str) -> str:
    # A condition or loop around paragraphs or lines is none of them.
    if _STATEMENT.fullmatch(text):
        return text
    lines = text.split("\n")
    ends = ["" if _STATEMENT.fullmatch(line) else "<br>" for line in lines[:-1]]
    shown = [_line(line) + end for line, end in zip(lines, [*ends, ""], strict=True)]
    return "<p>" + "\n".join(shown) + "</p>"


def _line(text: str) -> str:
    shown, end = [], 0
    for piece in _PIECE.finditer(text):
        shown.append(markup.escape(text[end : piece.start()], quote=False))
        if piece["url"] is None:
            shown.append(piece[0])
        else:
            url = _escaped(piece["url"])
            shown.append(f'<a href="{url}">{url}</a>')
        end = piece.end()
    return "".join([*shown, markup.escape(text[end:], quote=False)])


def _escaped(url: str) -> str:
    """An address for an attribute; its expressions stay."""
    shown, end = [], 0
    for piece in EXPRESSION.finditer(url):
        shown += [markup.escape(url[end : piece.start()]), piece[0]]
        end = piece.end()
    return "".join([*shown, markup.escape(url[end:])])


@lru_cache(maxsize=500)
def text_of(html: str) -> str:
    """The text of a template of HTML; links stand as text and address in Markdown."""
    # Most mails have a text part, and the library takes a while to load.
    from inscriptis import get_text
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    expressions: list[str] = []
    word = "xpr"
    while word in html:
        word += "x"

    def hide(match: re.Match[str]) -> str:
        expressions.append(match[0])
        return f"{word}{len(expressions) - 1}x"

    config = ParserConfig(css=CSS_PROFILES["strict"], display_links=True, display_images=True)
    text = get_text(EXPRESSION.sub(hide, html), config)
    text = _BLANK_LINES.sub("\n\n", text).strip() + "\n"
    return re.sub(rf"{word}(\d+)x", lambda match: expressions[int(match[1])], text)
