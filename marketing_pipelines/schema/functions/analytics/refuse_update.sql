-- Events are append-only: hours and aggregates that are done rest on them.
create or replace function analytics.refuse_update() returns trigger
language plpgsql as $$
begin
    raise feature_not_supported using message =
        'analytics.contact_activity is append-only: insert a new event instead of changing one';
end $$;
