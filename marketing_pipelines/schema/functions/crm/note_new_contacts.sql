-- Announces new contacts; those that only rows about them or messages of an application named wait
-- until something else names them.
create or replace function crm.note_new_contacts() returns trigger
language plpgsql as $$
begin
    insert into crm.unannounced_contacts (contact_id)
    select id from touched where source in ('stub', 'api') order by id;
    perform crm.announce_contacts(array_agg(id), array_agg(organization_id), array_agg(source))
    from touched
    where source not in ('stub', 'api')
    having count(*) > 0;
    return null;
end $$;
