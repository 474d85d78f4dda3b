"""`why --campaign C --date D`: the numbers of a day that changed after it was over, and why."""

import datetime as dt

from marketing_pipelines.cli.output import print_table
from marketing_pipelines.cli.session import connected
from marketing_pipelines.failures import WrongUsageError

CAUSES = {
    "late": "events arrived late",
    "enrolment": "contacts of the campaign, or the campaign, changed",
    "rebuild": "the day was asked for again",
    "code": "another release counted it before",
}


def of_restatements(campaign: str, organization: str | None, date: str) -> None:
    """Prints each number of the campaign's day that was replaced, oldest first."""
    from marketing_pipelines.domains.analytics import restatements

    try:
        day = dt.date.fromisoformat(date)
    except ValueError:
        raise WrongUsageError(f"--date '{date}' is no day such as 2026-03-01.") from None
    with connected() as (_, engine), engine.connect() as connection:
        number = restatements.find_campaign(connection, campaign, organization)
        found = restatements.of_campaign(connection, number, day)
    if not found.rows and not found.summed_up:
        print(f"No number of campaign {campaign} on {day} was replaced after the day was over.")
        return
    print_table(
        ["restated_at", "column", "before", "after", "cause", "run_id"],
        [
            [row.restated_at, row.column_name, row.before, row.after, CAUSES[row.cause], row.run_id]
            for row in found.rows
        ],
    )
    if found.summed_up:
        print(
            f"{found.summed_up} more changes of days around it, in all campaigns, are kept as sums "
            "in analytics.restatements."
        )
