"""Checkers outlive loads: the next load of a process takes one that is there."""

import pytest

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading.checker import borrowed_checker


def test_no_two_loads_have_one_checker_at_once_and_the_next_one_takes_it() -> None:
    with borrowed_checker() as first, borrowed_checker() as second:
        assert first is not second
    with borrowed_checker() as again:
        assert again in (first, second)


def test_a_checker_that_met_an_error_is_taken_by_no_one_again() -> None:
    with pytest.raises(BadInputError), borrowed_checker() as broken:
        raise BadInputError("The file cannot be used.")
    with borrowed_checker() as first, borrowed_checker() as second:
        assert broken not in (first, second)
