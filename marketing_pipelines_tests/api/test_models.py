"""Models of answers say what the dataclasses and tables say that they show."""

from dataclasses import dataclass
from types import SimpleNamespace

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.api import models


@dataclass(frozen=True)
class _Lag:
    """The lateness of a job.

    Attributes:
        seconds: Age of its latest success, in
            whole seconds; None: it never had one.
        hidden: Nobody's business.
    """

    job: str
    seconds: int | None
    hidden: str = ""


_table = sa.Table(
    "lags",
    sa.MetaData(),
    sa.Column("job", sa.Text, nullable=False, comment="Asset key"),
    sa.Column("seconds", sa.BigInteger),
    sa.Column("details", pg.JSONB, nullable=False),
    sa.Column("hidden", sa.Text),
)


def test_a_dataclass_is_shown_with_its_fields_and_what_its_docstring_says_of_them() -> None:
    model = models.of_dataclass(_Lag, without=("hidden",))
    schema = model.model_json_schema()
    assert (schema["title"], schema["description"]) == ("_Lag", "The lateness of a job.")
    assert schema["required"] == ["job", "seconds"]
    assert list(schema["properties"]) == ["job", "seconds"]
    assert schema["properties"]["job"] == {"title": "Job", "type": "string"}
    assert schema["properties"]["seconds"]["description"] == (
        "Age of its latest success, in whole seconds; null: it never had one."
    )
    shown = model.model_validate(_Lag("a/b", None, "no"))
    assert shown.model_dump() == {"job": "a/b", "seconds": None}


def test_a_table_is_shown_with_its_columns_and_their_comments() -> None:
    model = models.of_table("Lag", _table, described="One job.", without=("hidden",))
    properties = model.model_json_schema()["properties"]
    assert properties["job"] == {"description": "Asset key", "title": "Job", "type": "string"}
    assert properties["seconds"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert properties["details"]["type"] == "object"
    row = SimpleNamespace(job="a/b", seconds=3, details={"rows": 1}, hidden="no")
    assert model.model_validate(row).model_dump() == {
        "job": "a/b",
        "seconds": 3,
        "details": {"rows": 1},
    }
