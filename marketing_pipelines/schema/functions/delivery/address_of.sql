-- The normalised address of a channel: mail in lower case without blanks at its ends, a phone number
-- as + and 7 to 15 digits, a push token as given. Null: there is none, the number is not valid, or
-- the text is longer than an index takes.
-- Indexes of crm.contacts hold its results: a migration that changes it makes them anew.
create or replace function delivery.address_of(channel text, given text) returns text
language sql immutable parallel safe as $$
    select case
        when octet_length(given) > 2500 then null
        when channel = 'email' then nullif(lower(btrim(given, E' \t\r\n')), '')
        when channel = 'sms' then substring(
            regexp_replace(regexp_replace(given, '[[:space:]./()-]', '', 'g'), '^00', '+')
            from '^\+[0-9]{7,15}$'
        )
        when channel = 'push' then nullif(btrim(given, E' \t\r\n'), '')
    end
$$;
