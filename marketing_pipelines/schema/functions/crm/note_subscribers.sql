-- Announces contacts that waited for it and subscribe to a category, if they have an address or a name.
create or replace function crm.note_subscribers() returns trigger
language plpgsql as $$
begin
    execute $query$
        with subscribing as (
            select contact_id, min(source) as source
            from touched
            where state = 'subscribed'
            group by contact_id
        ),
        named as (
            delete from crm.unannounced_contacts as waiting
            using subscribing
            join crm.contacts as contact on contact.id = subscribing.contact_id
            where waiting.contact_id = contact.id
                and concat(contact.email, contact.phone, contact.first_name, contact.last_name)
                    ~ '[^[:space:]]'
            returning contact.id, contact.organization_id,
                      case subscribing.source when 'file' then 'import' when 'api' then 'api' else 'form' end
                      as source
        )
        select crm.announce_contacts(array_agg(id), array_agg(organization_id), array_agg(source))
        from named
        having count(*) > 0
    $query$;
    return null;
end $$;
