"""The reply alone: a mail's text without the quotation of earlier mails.

The patterns of the lines above quotations, in fifteen languages, are those of mail-parser-reply.
"""

import re
from functools import cache

MAX_LINES = 1_000
# Of longer lines the patterns see the beginning: "On … wrote:" is short.
MAX_LINE_LENGTH = 200
_RULE = re.compile(r"[ \t]*[_-]{10,}[ \t]*")


def cut(text: str) -> str:
    """Returns the text above the first quotation; below it, if nothing stands above.

    A text without quotation is the reply as a whole.
    """
    lines = text.split("\n")
    shadow = "\n".join(_shown(line) for line in lines[:MAX_LINES])
    match = _header_pattern().search(shadow)
    if match is None:
        return _without_quotes(lines)
    first = shadow.count("\n", 0, match.start()) + (match[0].startswith("\n"))
    above = _without_quotes(lines[:first])
    if above:
        return above
    end = shadow.count("\n", 0, match.end())
    return _without_quotes(lines[end + 1 :])


def _shown(line: str) -> str:
    return "" if _RULE.fullmatch(line) else line.strip()[:MAX_LINE_LENGTH]


def _without_quotes(lines: list[str]) -> str:
    kept = [line for line in lines if not line.lstrip().startswith(">")]
    while kept and (not kept[-1].strip() or _RULE.fullmatch(kept[-1])):
        kept.pop()
    return "\n".join(kept).strip()


@cache
def _header_pattern() -> re.Pattern[str]:
    from mailparser_reply import EmailMessage
    from mailparser_reply.constants import MAIL_LANGUAGES

    pattern: re.Pattern[str] = EmailMessage(text="", languages=list(MAIL_LANGUAGES)).HEADER_REGEX
    return pattern
