"""The tables that are kept tidy: external assets, so that lineage reaches back to them."""

from marketing_pipelines.jobs.domain import source

tasks = source(
    "tasks", "`procrastinate_jobs`: the tasks of all queues: waiting, running and finished."
)
runs = source("runs", "The runs of Dagster's own storage, and their events.")
sign_ins = source("sign_ins", "`ops.user_sessions`: sign-ins to the pages and the Dagster UI.")
audit_log = source("audit_log", "`ops.audit_log`: every call of the API.")
sessions = source("sessions", "`ops.job_sessions`: one row for every time a job worked.")
tables = source("tables", "The tables with a rule of retention (`docs/data-dictionary.md`).")
lake = source("lake", "The files of the event lake and their manifest, `analytics.lake_hours`.")
files = source("files", "Files in the data folder, and raw mail at `MARKETING_FILES_URL`.")
