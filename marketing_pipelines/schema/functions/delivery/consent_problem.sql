-- The reason for which a contact, at an address, gets no marketing message of a category (null: the
-- default one); null: it consented.
create or replace function delivery.consent_problem(
    organization bigint, contact bigint, category bigint, address text
) returns text
language sql stable parallel safe as $$
    select reason from delivery.consent_for(organization, contact, category, address)
$$;
