-- Enqueues the published events of a statement for their consumers, in its transaction.
create or replace function ops.tell_consumers() returns trigger
language plpgsql as $$
begin
    perform ops.enqueue_bus_events(
        array_agg(id order by id), array_agg(type order by id), array_agg(contact_id order by id)
    )
    from published;
    return null;
end $$;
