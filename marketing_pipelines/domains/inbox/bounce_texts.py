"""The meaning of status codes and sentences of mail servers, as data.

A code decides where it is exact; the sentences decide where servers give none, or a general one.
The verdicts are those of provider events, so that a bounce has one meaning, however it arrives.
"""

import re
from collections.abc import Iterable

from marketing_pipelines.domains.delivery.hooks.verdicts import FAILED, HARD, SOFT, HookVerdict

# The address or its domain does not exist, or its mailbox is closed.
HARD_CODES = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
# Full, or out of reach; 5.4.x is the network.
SOFT_CODES = {"5.2.2", "5.3.1", "5.3.2"}
# They say nothing by themselves.
GENERAL_CODES = {"5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0", "5.5.0"}
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
# An answer to RCPT without an enhanced code; at hand-over it is soft too.
_REFUSED = re.compile(r"(?<![\d.])55[0-3](?![\d.]*\d)")


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


# About sender, content or rights: the address may be good.
POLICY = _any(
    r"\bspam",
    r"\bblock(?:ed|list)|black ?list|\brbl\b|dnsbl|reputation|spamhaus|barracuda",
    r"\bpolic(?:y|ies)\b|\bdmarc\b|\bspf\b|\bdkim\b",
    r"unauthenticated|authentication (?:is )?required",
    r"\brelay(?:ing)?\b.{0,40}(?:denied|not (?:permitted|allowed))|\b(?:unable|not able) to relay",
    r"access denied|permission to send|not (?:allowed|authorized|permitted) to send",
    r"not accepting mail from|sender (?:address )?(?:rejected|denied|verif)",
    r"rejected by .{0,40}filter|content (?:filter|rejected|denied)|prohibited|unsolicited",
    r"too (?:large|big)|size limit|maximum (?:in\w+ )?(?:message )?size|exceeds? .{0,30}\bsize\b",
    r"\bvirus|malware|phish|attachment.{0,40}(?:not allowed|forbidden|rejected)",
)
# Full, too late, or out of reach.
LATER = _any(
    r"quota|mail ?(?:box|folder)(?: is| has been|'s)? (?:full|exceeded|over)|full mailbox",
    r"(?:mail ?)?box space not enough|disk (?:space|is full)|over (?:its )?(?:disk|storage)",
    r"insufficient (?:system )?(?:storage|space)|storage (?:limit|exceeded)|too much mail",
    r"mailfolder is full|inbox is full",
    r"bo[iî]te .{0,20}pleine|postfach .{0,20}voll|buz[oó]n.{0,20}lleno",
    r"timed out|time-?out|expired|queue(?:d)? (?:too|for too) long",
    r"could not be delivered (?:for|in|within) \d|(?:within|after) \d+ (?:hours|days)",
    r"(?:failed|after) (?:\d+|maximum) (?:delivery )?attempts|maximum delivery attempts",
    r"connection (?:refused|reset|to .{0,60} failed)|(?:unable|not able) to (?:connect|establish)",
    r"unreachable|not reachable|no (?:answer|response) from|is not responding",
    r"try (?:again|later)|name service error|network|temporar",
    r"unavailable or busy|server (?:is )?busy|could not find a gateway",
    r"too many hops|looping|mail loop",
    r"rate that|too quickly|too many (?:messages|connections)",
)
# Known texts of servers that give no code, or a general one.
GONE = _any(
    r"(?:user|recipient|account|addressee|mailbox|e?-?mail address)s? (?:is |was |are )?"
    r"(?:unknown|not known|not found|invalid|does ?n[o']t exist)",
    r"(?:unknown|no such|invalid|non-?existent) (?:or (?:illegal|invalid) )?(?:local )?"
    r"(?:user|recipient|addressee|account|mailbox|alias|person|e-?mail address|host|domain)",
    r"(?:unknown|invalid|no such) (?:local[- ]part|destination address|virtual (?:user|mailbox))",
    r"no mailbox (?:here )?(?:by|with) that name|no user by that name|not a valid (?:user|mailbox)",
    r"(?:user|mailbox|account|address|recipient)[^.\n]{0,60} (?:does not|doesn't|do not) exist",
    r"does(?:n't| not) have an? [\w.-]+ account",
    r"account has been (?:disabled|discontinued|closed|deactivated)",
    r"(?:user|recipient)[^.\n]{0,60} not (?:found|listed)|not listed in (?:domino|the) directory",
    r"recipient name is not recognized|was not found at",
    r"no longer (?:valid|exists|in use|active|employed)",
    r"address (?:is )?(?:wrong|incorrect)|did not exactly match|no matches to nameserver",
    r"does not have a final email delivery point|invalid final delivery userid",
    r"(?:domain|host)[^.\n]{0,60} (?:does not|doesn't) exist",
    r"domain (?:name )?(?:could ?n[o']t be|was not|not) found",
    r"mailbox (?:is )?(?:disabled|inactive|closed)|user (?:is )?(?:disabled|inactive)",
    r"(?:unbekannte[rn]?|ung[uü]ltige[rn]?) (?:empf[aä]nger|benutzer|adresse)",
    r"(?:empf[aä]nger|adresse) (?:ist )?(?:unbekannt|nicht bekannt)|existiert nicht",
    r"utilisateur (?:inconnu|non )|n'existe pas|destinataire inconnu|adresse inconnue",
    r"usuario (?:desconocido|no existe)|direcci[oó]n no existe|no existe (?:el|la|ese) ",
    r"utente (?:sconosciuto|inesistente)|destinatario (?:sconosciuto|inesistente|desconocido)",
    r"usu[aá]rio (?:desconhecido|inexistente)|нет такого пользователя|пользователь не найден",
    r"用户不存在|地址不存在|収件人.{0,10}見つかりません|存在しません",
)
# The mail still waits: not a bounce.
DELAYED = _any(
    r"not yet been delivered|has been (?:delayed|postponed)|warning message only",
    r"delivery.{0,20}delayed|message delayed|noch nicht zugestellt",
    r"still being retried|will (?:continue|keep) (?:to )?(?:be )?(?:try|retr|attempt)",
    r"(?:attempts|tries) will (?:continue|be made)|will be retried",
)
# Senders and subjects of servers.
SENDERS = _any(
    r"(?:mailer|mail|mailadm|delivery)[-_.]?(?:daemon|delivery[-_.]?s\w+|system)",
    r"postmaster|mdaemon|(?:mail|system)[-_. ]?(?:administrator|robot)",
    r"bounces?[-+@]|ndr@|smtp_mail_service|imss@|antivirus|jetmail",
)
SUBJECTS = _any(
    r"undeliver|unzustellbar|nicht zugestellt|non (?:remis|distribu)|non recapit",
    r"no (?:se ha podido )?entrega|не доставлено|退信|配信不能",
    r"returned mail|returning message to sender|mail returned|returned to sender",
    r"mail failed|failed mail|failure notice|failure delivery|automatically rejected mail",
    r"non-?deliver|not (?:yet )?(?:been )?delivered|could not (?:be )?deliver|message delayed",
    r"deliver\w* (?:fail|problem|status|has failed|report|notif)|mail (?:system )?error",
    r"(?:mail|delivery|permanent|message) \w{0,10} ?failure|user unknown|unknown user",
)
# The returned mail begins at such a line.
RETURNED = re.compile(
    r"\W*(?:(?:begin|start) of (?:the )?returned|returned m(?:ail|essage)|mensaje original|"
    r"message (?:header|text|body)|(?:the )?header\w* .{0,40}(?:original|follow)|"
    r"(?:the )?original (?:message|header)|unsent message|old message|forwarded message|"
    r"(?:here|this) is a copy of|included is a copy|below (?:this|the next) line|"
    r"a copy of the original|header of the source|your message reads|here is your returned|"
    r"a summary of the undelivered)|return-path:|received:\s+(?:from|by) ",
    re.IGNORECASE,
)
# An address in such a line is not that of the recipient.
CONTACTS = _any(
    r"contact|for (?:further )?(?:assistance|help)|send (?:e-?)?mail to|reply to|postmaster@",
    r"^\W*(?:from|received|by|reply-to|mail from)\b",
)


def verdict_of(codes: Iterable[str], words: str) -> HookVerdict:
    """Returns the meaning of a final refusal.

    Args:
        codes: Enhanced status codes, the most reliable first; those in the words follow.
        words: The server's sentence.
    """
    found = [*codes, *codes_in(words)]
    if any(code.startswith("4.") for code in found[:1]):
        return SOFT
    code = next((one for one in found if one[0] == "5" and one not in GENERAL_CODES), None)
    if code is not None and code.startswith("5.7."):
        return FAILED
    if POLICY.search(words):
        return FAILED
    if code in SOFT_CODES or (code or "").startswith("5.4.") or LATER.search(words):
        return SOFT
    if code in HARD_CODES:
        return HARD
    if code is not None:
        return FAILED
    if GONE.search(words):
        return HARD
    is_later = any(one[0] == "4" for one in found)
    return SOFT if is_later or _REFUSED.search(words) else FAILED


def codes_in(words: str) -> list[str]:
    """Returns the enhanced status codes of a text, in its order."""
    return [".".join(match.groups()) for match in _ENHANCED.finditer(words)]
