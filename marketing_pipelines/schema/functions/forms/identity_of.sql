-- The identity of a submission: the hash of the values of its key columns; of all mapped columns where
-- the form has no key columns, or a row none of their values.
create or replace function forms.identity_of(data jsonb, keys text[], mapped text[]) returns text
language sql immutable parallel safe as $$
    select encode(sha256(convert_to((
        select jsonb_agg(forms.plain_value(data -> used.name) order by used.place)::text
        from unnest(case when data ?| keys then keys else mapped end)
            with ordinality as used (name, place)
    ), 'UTF8')), 'hex')
$$;
