-- The reason and channel of the suppression that an event causes; no row where it causes none. Leaving
-- a category is no suppression.
create or replace function delivery.suppression_of(event_type text, properties jsonb)
returns table (reason text, channel text)
language sql immutable parallel safe as $$
    select case event_type
               when 'unsubscribed' then 'unsubscribed'
               when 'complained' then 'complaint'
               else 'hard_bounce'
           end,
           case
               when properties ->> 'channel' in ('sms', 'push') then properties ->> 'channel'
               when properties ->> 'channel' = 'all' and event_type <> 'bounced' then 'all'
               else 'email'
           end
    where event_type = 'complained'
        or event_type = 'unsubscribed' and not coalesce(properties ? 'category', false)
        or event_type = 'bounced' and properties ->> 'bounce_type' = 'hard'
$$;
