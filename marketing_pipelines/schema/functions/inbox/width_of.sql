-- The rank of a level of sharing: the wider, the higher.
create or replace function inbox.width_of(share text) returns integer
language sql immutable parallel safe as $$
    select array_position(array['metadata', 'subject', 'full'], share)
$$;
