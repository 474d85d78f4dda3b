-- The reason of the suppression that a provider's event causes; null where it causes none.
create or replace function delivery.suppression_by(type text, reading jsonb) returns text
language sql immutable parallel safe as $$
    select case
        when reading ? 'suppression' then reading ->> 'suppression'
        when type = 'bounced' and reading ->> 'bounce_type' = 'hard' then 'hard_bounce'
        when type = 'complained' then 'complaint'
        when type = 'unsubscribed' and not reading ? 'has_category' then 'unsubscribed'
    end
$$;
