"""The messages of steps: the templates, categories and sending domains that they name."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from marketing_pipelines.domains.delivery.named_templates.catalog import (
    Catalog,
    Outgoing,
    UnknownNameError,
    Wanted,
)
from marketing_pipelines.domains.delivery.named_templates.template import problem_of_template
from marketing_pipelines.domains.lifecycle import plan, steps
from marketing_pipelines.domains.lifecycle.plan import PlannedStep
from marketing_pipelines.domains.lifecycle.programs import Program, read_sql
from marketing_pipelines.domains.lifecycle.steps import CHANNELS, Send, SendEmail, SendTexts
from marketing_pipelines.failures import BadInputError
from marketing_pipelines.stores.kinds import RefusedRow


def wanted_of(step_type: str, step: Send) -> Wanted:
    """Returns a step's message with the names that the step gives."""
    texts = step if isinstance(step, SendTexts) else None
    return Wanted(
        channel=CHANNELS[step_type],
        template=texts.template if texts else None,
        content=step.content,
        category=texts.category if texts else None,
        sender=step.sender if isinstance(step, SendEmail) else None,
        kind=step.kind,
        priority=step.priority,
        valid_for=step.valid_for,
    )


def messages_of(
    connection: sa.Connection, planned: Iterable[PlannedStep]
) -> tuple[dict[int, Outgoing], dict[int, str]]:
    """Returns the messages of the steps that send, and why some cannot be sent, by step."""
    wanted = {
        one.id: (one.program.organization_id, wanted_of(one.type, one.step))
        for one in planned
        if isinstance(one.step, Send) and one.problem is None
    }
    catalog = _catalog(connection, wanted.values())
    messages, problems = {}, {}
    for step_id, (organization_id, message) in wanted.items():
        try:
            messages[step_id] = catalog.outgoing(organization_id, message)
        except UnknownNameError as error:
            problems[step_id] = str(error)
            continue
        # A built-in template is right, and so was a step's own text when it was loaded.
        stored = catalog.templates.get((organization_id, message.template or ""))
        problem = None if stored is None else problem_of_template(stored)
        if problem is not None:
            problems[step_id] = f"template: {problem}."
            del messages[step_id]
    return messages, problems


def refused(connection: sa.Connection) -> Iterator[RefusedRow]:
    """Yields the staged steps that name an unknown template, category or sending domain."""
    wanted = {}
    for row in connection.execute(read_sql("staged_messages")):
        try:
            step = steps.parse(row.type, steps.read_stored(row.config))
        except BadInputError:
            continue
        if isinstance(step, Send):
            wanted[row.line] = row.organization_id, wanted_of(row.type, step)
    catalog = _catalog(connection, wanted.values())
    for line, (organization_id, message) in wanted.items():
        try:
            catalog.outgoing(organization_id, message)
        except UnknownNameError as error:
            yield RefusedRow(line, "config", f"{error.key}: {error.reason}")


def _catalog(connection: sa.Connection, wanted: Iterable[tuple[int | None, Wanted]]) -> Catalog:
    """The names of the organizations whose messages give any."""
    naming = [
        (organization_id, message)
        for organization_id, message in wanted
        if message.template or message.category or message.sender
    ]
    templates = {message.template for _, message in naming if message.template}
    return Catalog.read(
        connection, {number for number, _ in naming if number is not None}, templates
    )


def message_of_step(connection: sa.Connection, program: Program, name: str) -> Wanted:
    """Returns the message of one step of a program.

    Raises:
        BadInputError: there is no such step, it cannot be read, or it sends nothing.
    """
    for one in plan.read(connection, program.kind, [program]):
        if one.name != name or one.type == plan.ENTRANCE:
            continue
        if one.problem is not None:
            raise BadInputError(f"{program}, {one}: {one.problem}")
        if isinstance(one.step, Send):
            return wanted_of(one.type, one.step)
        reason = "is switched off" if one.type == plan.SWITCHED_OFF else f"is of type {one.type}"
        raise BadInputError(f"{program}, {one} sends nothing: it {reason}.")
    raise BadInputError(f"{program} has no step '{name}'.")
