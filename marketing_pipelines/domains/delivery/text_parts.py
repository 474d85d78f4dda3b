"""The text part of a mail that has HTML only, made from the template of the HTML.

Like CSS, it is made once for each content, before it is filled in: its expressions are hidden from
the HTML parser as words meanwhile.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marketing_pipelines.domains.delivery.inlining import EXPRESSION

_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def with_text(content: Mapping[str, Any]) -> dict[str, Any]:
    """A mail's content with a text part."""
    parts = dict(content)
    if parts.get("text") is None:
        parts["text"] = text_of(parts["html"])
    return parts


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
