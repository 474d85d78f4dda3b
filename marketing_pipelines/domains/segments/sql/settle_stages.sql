-- Indexes and analyzes the copies for the planner.
create index on staged_events (event_type, occurred_at);
create index on staged_members (segment_id);
analyze staged_contacts (id), staged_members, staged_events (contact_id, event_type, occurred_at)
