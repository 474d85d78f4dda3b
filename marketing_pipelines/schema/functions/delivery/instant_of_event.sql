-- The instant of an event as its activity has it: the provider's, if it can be true of the message.
create or replace function delivery.instant_of_event(
    occurred_at timestamptz, queued_at timestamptz, received_at timestamptz
) returns timestamptz
language sql immutable parallel safe as $$
    select case
        when occurred_at between queued_at - interval '1 day' and received_at then occurred_at
        else received_at
    end
$$;
