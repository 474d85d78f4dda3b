-- The fields of a contact for templates. A column takes precedence over an attribute of the same name.
create or replace function delivery.fields_of(contact crm.contacts) returns jsonb
language sql stable as $$
    select jsonb_strip_nulls(
        (contact).attributes
        || jsonb_strip_nulls(
            to_jsonb(contact) - array['id', 'organization_id', 'attributes', 'source']
        )
    )
$$;
