"""Threads: mails that name each other belong together, under the number of the earliest.

Mail is read from the newest downwards, so an answer is often stored before the mail that it names:
each new mail joins the threads of the mails that it names and of those that name it.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from marketing_pipelines.domains.inbox.statements import statement
from marketing_pipelines.domains.inbox.tables import email_messages


def join_threads(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Gives new mails their threads, and joins threads that new mails connect."""
    mail = email_messages.c
    connection.execute(sa.update(email_messages).where(mail.id.in_(ids)).values(thread_id=mail.id))
    related = connection.execute(statement("related_threads"), {"ids": list(ids)})
    threads = [
        {"component": component, "thread_id": thread}
        for thread, component in _components((row.id, row.thread_id) for row in related).items()
    ]
    if threads:
        connection.execute(statement("merge_threads"), {"threads": threads})


def _components(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The component of each number that a pair connects to another."""
    above: dict[int, int] = {}

    def top(number: int) -> int:
        while above.setdefault(number, number) != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    for one, other in pairs:
        if one != other:
            above[top(one)] = top(other)
    return {number: top(number) for number in list(above)}
