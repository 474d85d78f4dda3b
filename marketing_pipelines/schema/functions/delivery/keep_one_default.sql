-- A domain that becomes the default takes the place of the one before.
create or replace function delivery.keep_one_default() returns trigger
language plpgsql as $$
begin
    update delivery.sending_domains
    set is_default = false
    where organization_id = new.organization_id and id <> new.id and is_default;
    return null;
end $$;
