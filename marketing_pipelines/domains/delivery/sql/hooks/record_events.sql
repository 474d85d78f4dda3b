-- Stores the events that are not stored yet; returns their numbers. Events without an effect are
-- done at once.
insert into delivery.message_events (provider, provider_event_id, token, type, recipient, reason,
                                     occurred_at, received_at, applied_at, reading, payload)
select provider, provider_event_id, token, type, recipient, reason, occurred_at, :now,
       case when type = 'unread' then cast(:now as timestamptz) end, reading,
       coalesce(payload, 'null')
from jsonb_to_recordset(cast(:events as jsonb)) as told (
    provider text, provider_event_id text, token text, type text, recipient text, reason text,
    occurred_at timestamptz, reading jsonb, payload jsonb
)
on conflict do nothing
returning id
