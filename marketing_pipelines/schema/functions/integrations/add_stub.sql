-- Inserts a connection that a file names and that is not set yet: it waits for a person.
create or replace function integrations.add_stub() returns trigger
language plpgsql as $$
declare
    named text := split_part(new.external_id, ':', 1);
begin
    insert into integrations.connections (organization_id, provider, external_id, state, error, changed_at)
    values (
        new.organization_id, named, substr(new.external_id, length(named) + 2), 'reconnect',
        format('It is not set: `marketing-pipelines connection set %s` sets it.', named), now()
    )
    on conflict do nothing;
    return new;
end $$;
