-- The address that a contact gives for a channel, as it stands in its row.
create or replace function delivery.address_given(
    channel text, email text, phone text, attributes jsonb
) returns text
language sql immutable parallel safe as $$
    select case channel
        when 'email' then email
        when 'sms' then phone
        when 'push' then attributes ->> 'push_token'
    end
$$;
