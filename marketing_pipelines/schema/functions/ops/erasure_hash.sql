-- HMAC-SHA-256 of a name of a person in an organization; the key comes as its two padded blocks. Kinds:
-- external_id, and the channels of addresses, which are normalised before. Null: there is no key, or
-- no such address.
create or replace function ops.erasure_hash(
    inner_block bytea, outer_block bytea, organization bigint, kind text, given text
) returns text
language sql immutable parallel safe
as $$
    select encode(sha256(outer_block || sha256(inner_block || convert_to(
        organization || ' ' || kind || ' '
            || case kind when 'external_id' then given else delivery.address_of(kind, given) end,
        'UTF8'
    ))), 'hex')
$$;
comment on function ops.erasure_hash(bytea, bytea, bigint, text, text) is
    'Keyed hash of an external id or address, by which the ledger of erasures knows it';
