"""Types of actions, and the patterns of routes."""

import re

MAX_LENGTH = 100
_TYPE = re.compile(r"[a-z0-9][a-z0-9_.:-]*", re.IGNORECASE | re.ASCII)


def type_problem(name: str) -> str | None:
    """Returns why a text is no type of actions; None: it is one."""
    if len(name) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if not _TYPE.fullmatch(name):
        return f"'{name[:60]}' is no type: write letters, digits and : . _ -, like billing:renew"
    return None


def pattern_problem(pattern: str) -> str | None:
    """Returns why a text is no pattern of types, such as `billing:*`; None: it is one."""
    return None if pattern == "*" else type_problem(pattern.removesuffix("*"))
