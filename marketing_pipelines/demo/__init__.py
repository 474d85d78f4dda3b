"""Demo data, written as files that `marketing-pipelines load` takes.

Two sources, each one function `write_files(folder, …)` that returns `(kind, path)` pairs in the
order in which to load them: `completejourney` holds a year of real mailings, redemptions and
purchases, `generated` any number of believable e-mail events of several organizations. Nothing
here knows the database or Dagster; importing the two modules is cheap, the heavy libraries and
the modules behind `generated` (`world`, `rhythm`, `activity`, `event_batches`, `entity_files`)
are imported when a function is called.
"""
