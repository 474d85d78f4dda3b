"""CSS in the `style` attributes of mails, since many mail clients ignore `<style>`.

Media queries and the like stay in `<style>`. A template is inlined once, before it is filled in, so
its expressions are hidden from the HTML parser meanwhile: as comments between tags, as words in
tags and in CSS.
"""

import re
from functools import lru_cache

import css_inline

EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_MARK = re.compile(r"<!--xpr(\d+)x-->|xpr(\d+)x")
_HAS_STYLE = re.compile(r"<style[\s>]", re.IGNORECASE)
# An expression between tags, or a place without comments: a tag with its attributes, a whole
# `<style>` or `<title>`.
_PIECE = re.compile(
    rf"(?P<expression>{EXPRESSION.pattern})"
    r"|<(?P<name>style|title|textarea)\b.*?</(?P=name)\s*>|<!--.*?-->"
    r"|<[a-z!/](?:\"[^\"]*\"|'[^']*'|[^'\">])*>",
    re.DOTALL | re.IGNORECASE,
)
_inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


@lru_cache(maxsize=500)
def inline_css(source: str) -> str:
    """The HTML of a template with its CSS inlined.

    HTML whose expressions would not all stay in their order, or that no parser reads, is returned
    as it is.
    """
    if not _HAS_STYLE.search(source):
        return source
    expressions: list[str] = []

    def hide(match: re.Match[str], mark: str) -> str:
        expressions.append(match[0])
        return mark.format(len(expressions) - 1)

    def hide_in(piece: re.Match[str]) -> str:
        if piece["expression"] is not None:
            return hide(piece, "<!--xpr{}x-->")
        return EXPRESSION.sub(lambda match: hide(match, "xpr{}x"), piece[0])

    hidden = _PIECE.sub(hide_in, source)
    try:
        inlined: str = _inliner.inline(hidden)
    except css_inline.InlineError:
        return source
    found = [int(match[1] or match[2]) for match in _MARK.finditer(inlined)]
    if found != list(range(len(expressions))):
        return source
    return _MARK.sub(lambda match: expressions[int(match[1] or match[2])], inlined)
