"""The valid values of a trigger of type `date`, and every error with its sentence."""

import json
from typing import Any

import pytest

from marketing_pipelines.domains.lifecycle.trigger_configs import (
    DateTrigger,
    parse_date,
    problem_of_date,
)

BAD: list[tuple[Any, str]] = [
    ({}, "The config has no 'attribute'"),
    ([], "is not a JSON object"),
    ({"attribute": ""}, "attribute: is empty"),
    ({"attribute": 1}, "attribute: takes a text"),
    ({"attribute": "a", "days_before": "3"}, "days_before: takes a whole number"),
    ({"attribute": "a", "days_before": 1.5}, "days_before: takes a whole number"),
    ({"attribute": "a", "days_before": 99_999}, "days_before: is more than 36600 days"),
    ({"attribute": "a", "yearly": "true"}, "yearly: takes true or false"),
    ({"attribute": "a", "at": "9:00"}, "at: '9:00' is no time of day: write hours and minutes"),
    ({"attribute": "a", "hour": 9}, "hour: is an unknown key: use attribute, days_before, yearly"),
]


@pytest.mark.parametrize(("config", "sentence"), BAD)
def test_a_bad_date_says_what_is_wrong_and_where(config: Any, sentence: str) -> None:
    problem = problem_of_date(json.dumps(config))
    assert problem is not None
    assert problem.startswith(sentence)


def test_a_date_has_its_values() -> None:
    config = {"attribute": "a.b", "days_before": -3, "yearly": True, "at": "09:00"}
    assert problem_of_date(json.dumps(config)) is None
    assert parse_date(config) == DateTrigger.model_validate(config)
    alone = parse_date({"attribute": "born"})
    assert (alone.days_before, alone.yearly, alone.at) == (0, False, None)


def test_text_that_is_no_json_says_so() -> None:
    assert problem_of_date("{") == "is not valid JSON"
