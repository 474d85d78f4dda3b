-- The number of our message that a Message-ID without angle brackets names, signed or not. Null: it
-- is not ours.
create or replace function delivery.message_of(message_id text) returns bigint
language sql immutable parallel safe as $$
    select cast(substring(message_id from '^message\.([0-9]{1,18})(?:\.[0-9a-f]{16})?@') as bigint)
$$;
