-- The category of an organization's messages that name none; null where it has no categories.
create or replace function delivery.default_category(organization bigint) returns bigint
language sql stable parallel safe as $$
    select id
    from delivery.categories
    where organization_id = organization and is_default
    order by id
    limit 1
$$;
