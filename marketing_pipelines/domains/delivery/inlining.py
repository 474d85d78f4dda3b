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
# A tag with its attributes, a whole `<style>` or `<title>`: comments have no place in them.
_CLOSED = re.compile(
    r"<(style|title|textarea)\b.*?</\1\s*>|<!--.*?-->|<[a-z!/](?:\"[^\"]*\"|'[^']*'|[^'\">])*>",
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

    pieces, end = [], 0
    for closed in _CLOSED.finditer(source):
        between = source[end : closed.start()]
        pieces.append(EXPRESSION.sub(lambda match: hide(match, "<!--xpr{}x-->"), between))
        pieces.append(EXPRESSION.sub(lambda match: hide(match, "xpr{}x"), closed[0]))
        end = closed.end()
    pieces.append(EXPRESSION.sub(lambda match: hide(match, "<!--xpr{}x-->"), source[end:]))
    try:
        inlined: str = _inliner.inline("".join(pieces))
    except css_inline.InlineError:
        return source
    found = [int(match[1] or match[2]) for match in _MARK.finditer(inlined)]
    if found != list(range(len(expressions))):
        return source
    return _MARK.sub(lambda match: expressions[int(match[1] or match[2])], inlined)
