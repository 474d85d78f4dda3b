-- Notes awaited events in their own transaction: however late it commits, the next pass sees them.
create or replace function lifecycle.note_arrivals() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.event_arrivals (purpose, organization_id, contact_id, event_type, event_id,
                                          occurred_at)
    select awaited.purpose, touched.organization_id, touched.contact_id, touched.event_type,
           touched.event_id, touched.occurred_at
    from touched
    join lifecycle.awaited_events as awaited
        on awaited.organization_id = touched.organization_id
        and awaited.event_type = touched.event_type;
    return null;
end $$;
