-- The rank of a state that a message has once it may have left; null of any other. No event lowers it.
create or replace function delivery.rank_of(state text) returns integer
language sql immutable parallel safe as $$
    select array_position(array['unknown', 'sent', 'delivered', 'failed', 'bounced'], state)
$$;
