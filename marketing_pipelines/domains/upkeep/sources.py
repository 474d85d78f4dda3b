"""The tables that are kept tidy: external assets, so that lineage reaches back to them."""

from marketing_pipelines.jobs.domain import source

tasks = source(
    "tasks", "`procrastinate_jobs`: the tasks of all queues: waiting, running and finished."
)
runs = source("runs", "The runs of Dagster's own storage, and their events.")
