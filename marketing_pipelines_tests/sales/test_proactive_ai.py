"""The job that runs the three assisting jobs in one run, without a clock."""

from marketing_pipelines.definitions import defs


def test_it_selects_the_three_and_has_no_clock() -> None:
    job = defs.resolve_job_def("proactive_ai")
    selected = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert selected == {"sales/meeting_briefs", "sales/stale_deals", "sales/daily_insights"}
    assert all(schedule.job_name != "proactive_ai" for schedule in defs.schedules or ())
