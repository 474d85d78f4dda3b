-- The domain that an organization sends from where a message names none; null where it has none.
create or replace function delivery.default_domain(organization bigint) returns bigint
language sql stable parallel safe as $$
    select id
    from delivery.sending_domains
    where organization_id = organization
    order by is_default desc, id
    limit 1
$$;
