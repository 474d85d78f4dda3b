-- Inserts a program that is known by name only, whatever its kind.
create or replace function lifecycle.add_stub() returns trigger
language plpgsql as $$
begin
    case new.kind
        when 'campaign' then
            insert into campaigns.campaigns (organization_id, external_id, status)
            values (new.organization_id, new.external_id, 'imported')
            on conflict do nothing;
        when 'sequence' then
            insert into campaigns.sequences (organization_id, external_id)
            values (new.organization_id, new.external_id)
            on conflict do nothing;
        when 'journey' then
            insert into journey.journeys (organization_id, external_id)
            values (new.organization_id, new.external_id)
            on conflict do nothing;
    end case;
    return new;
end $$;
