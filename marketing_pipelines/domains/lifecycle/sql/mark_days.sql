-- Has the days of instants counted again.
select lifecycle.mark_days(cast(:instants as timestamptz[]))
