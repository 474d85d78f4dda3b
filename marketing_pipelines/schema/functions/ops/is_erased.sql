-- The one question that every way in asks: was the person with this name erased, without a new
-- relationship since? False without a key: nobody was erased.
create or replace function ops.is_erased(
    inner_block bytea, outer_block bytea, organization bigint, kind text, given text
) returns boolean
language sql stable parallel safe
as $$
    select exists (
        select from ops.erasures as erased
        cross join lateral (
            select array[ops.erasure_hash(inner_block, outer_block, organization, kind, given)] as own
        ) as hash
        where erased.organization_id = organization
            and erased.hashes @> hash.own and not erased.lifted @> hash.own
    )
$$;
comment on function ops.is_erased(bytea, bytea, bigint, text, text) is
    'True if the person with this external id or address was erased';
