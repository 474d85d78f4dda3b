"""Listings that services answer page by page."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from marketing_pipelines.domains.integrations.http import WrongAnswerError

MAX_PAGES = 10_000
Page = TypeVar("Page")


def each_page(
    read: Callable[[str | None], tuple[Page, str | None]], *, most: int = MAX_PAGES
) -> Iterator[Page]:
    """The pages of a listing, each of which names the next.

    Args:
        read: Returns the page of a cursor and the next cursor; None: the first, the last.

    Raises:
        WrongAnswerError: the listing leads back to a page, or does not end.
    """
    cursor: str | None = None
    seen: set[str | None] = set()
    while cursor not in seen:
        if len(seen) == most:
            raise WrongAnswerError(f"The listing does not end: it has more than {most:,} pages.")
        seen.add(cursor)
        page, cursor = read(cursor)
        yield page
        if cursor is None:
            return
    raise WrongAnswerError(f"The listing leads back to its page '{str(cursor)[:40]}'.")
