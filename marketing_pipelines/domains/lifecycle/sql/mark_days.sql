-- Marks the days of instants to be counted again.
select lifecycle.mark_days(cast(:instants as timestamptz[]))
