-- The first eight bytes of the hash, as an unsigned number modulo 10,000: two halves of four bytes,
-- because a bigint has a sign; 2^32 is 7296 modulo 10,000.
create or replace function segments.bucket(organization text, contact text, salt text)
returns integer
language sql immutable strict parallel safe as $$
    select ((('x' || left(hash, 8))::bit(32)::bigint % 10000 * 7296
             + ('x' || substr(hash, 9, 8))::bit(32)::bigint) % 10000)::integer
    from encode(sha256(convert_to(organization || e'\x1f' || contact || e'\x1f' || salt, 'UTF8')),
                'hex') as hash
$$;
comment on function segments.bucket(text, text, text) is
    'The bucket of a contact under a salt, from 0 to 9,999; organization and contact are external ids';
