-- Announces contacts that waited for it, once a file or a form has named them and they have an address
-- or a name. Planned each time: the number of changed rows decides.
create or replace function crm.note_named_contacts() returns trigger
language plpgsql as $$
begin
    execute $query$
        with named as (
            delete from crm.unannounced_contacts as waiting
            using touched
            where touched.id = waiting.contact_id and touched.source not in ('stub', 'api')
                and concat(touched.email, touched.phone, touched.first_name, touched.last_name)
                    ~ '[^[:space:]]'
            returning touched.id, touched.organization_id, touched.source
        )
        select crm.announce_contacts(array_agg(id), array_agg(organization_id), array_agg(source))
        from named
        having count(*) > 0
    $query$;
    return null;
end $$;
