-- The events of the file, until their instants come.
create temporary table assumed_events (like analytics.contact_activity)
