"""GraphQL documents in front of Dagster's server: tells mutations from reads."""

import json
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import QueryParams

from marketing_pipelines.api.answers import Refusal

PATH = "/graphql"
# Dagster's server reads a body of any other kind as if it were empty, and a browser sends those
# from any page without asking first.
JSON, GRAPHQL = "application/json", "application/graphql"


def _unreadable() -> Refusal:
    return Refusal(400, "This is not a GraphQL request: it cannot be read.")


def of_query(query_string: bytes) -> str:
    """The document in an address."""
    return QueryParams(query_string).get("query", "")


def of_body(content_type: str, body: bytes) -> str:
    """The document in a body.

    Raises:
        Refusal: it is not of a type that Dagster reads, or not readable.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == GRAPHQL:
        return _text(body)
    if kind != JSON:
        raise Refusal(415, f"A GraphQL request is sent as {JSON}.")
    return _query_of(_object(body))


def of_message(text: str) -> str:
    """The document in a message of a websocket; most have none."""
    return _query_of(_object(text).get("payload"))


def changes(document: str) -> bool:
    """Returns true if one of the document's operations is a mutation.

    Raises:
        Refusal: it names mutations and cannot be parsed.
    """
    if "mutation" not in document:
        return False
    try:
        definitions = parse(document, no_location=True).definitions
    except (GraphQLError, RecursionError):
        raise _unreadable() from None
    return any(
        isinstance(one, OperationDefinitionNode) and one.operation == OperationType.MUTATION
        for one in definitions
    )


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(found, dict):
        raise _unreadable()
    return found


def _query_of(found: Any) -> str:
    query = found.get("query") if isinstance(found, dict) else None
    if query is not None and not isinstance(query, str):
        raise _unreadable()
    return query or ""


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _unreadable() from None
