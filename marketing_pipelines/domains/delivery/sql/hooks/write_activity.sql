-- Writes the events into the activity of contacts: deliveries, bounces, complaints and ways out
-- once a message, opens and clicks once an event.
with told as (
    select event.id, event.provider, event.type, event.reason, event.reading,
           message.id as message_id, message.organization_id, message.contact_id, message.channel,
           message.program_kind, message.program_id, message.step_id,
           case when event.reading ? 'has_category' then coalesce(
               (
                   select external_id from delivery.categories
                   where organization_id = message.organization_id
                       and external_id = event.reading ->> 'category'
               ),
               (
                   select external_id from delivery.categories
                   where id = coalesce(
                       message.category_id, delivery.default_category(message.organization_id)
                   )
               )
           ) end as category,
           delivery.instant_of_event(event.occurred_at, message.queued_at, event.received_at) as occurred_at,
           case
               when event.type in ('opened', 'clicked')
                   then event.type || ':' || event.provider || ':' || event.provider_event_id
               else event.type
           end as key
    from delivery.message_events as event
    join delivery.messages as message on message.id = event.message_id
    join crm.organizations as organization on organization.id = message.organization_id
    where event.id = any(:ids)
        and event.type in ('delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed')
        and not event.reading ? 'is_of_list'
        -- Opens and clicks come from one source: our own links, where the organization counts these.
        and (
            event.type not in ('opened', 'clicked')
            or (event.provider = 'own') = case organization.settings #>> '{tracking,source}'
                when 'own' then true
                when 'provider' then false
                else organization.settings #> array[
                    'tracking', case event.type when 'opened' then 'opens' else 'clicks' end
                ] is not distinct from 'true'
            end
        )
        and message.state <> 'suppressed'
        and not (message.state = 'failed' and message.sent_at is null)
    union all
    select 0, null, 'sent', null, '{}', id, organization_id, contact_id, channel, program_kind,
           program_id, step_id, null, sent_at, 'sent'
    from delivery.messages
    where id = any(:resolved)
),
happened as (
    select distinct on (told.message_id, told.key) told.*, step.external_id as step
    from told
    left join lifecycle.steps as step on step.id = told.step_id
    where told.contact_id is not null and told.channel <> 'webhook'
        and not exists (
            select from analytics.event_keys as held
            where held.organization_id = told.organization_id
                and held.event_id = 'message:' || told.message_id || ':' || told.key
        )
    order by told.message_id, told.key, told.occurred_at, told.id
)
insert into analytics.contact_activity (
    organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
    received_at, properties
)
select organization_id, 'message:' || message_id || ':' || key, contact_id, type,
       case program_kind when 'campaign' then 'campaign' end,
       case program_kind when 'campaign' then program_id end,
       occurred_at, :now,
       jsonb_strip_nulls(jsonb_build_object(
           'message_id', message_id,
           'channel', channel,
           'step', step,
           'bounce_type', reading ->> 'bounce_type',
           'reason', case when type in ('bounced', 'complained') then reason end,
           'url', reading ->> 'url',
           'category', category,
           'machine_open', case when type = 'opened' then reading -> 'is_machine' end,
           'machine_click', case when type = 'clicked' then reading -> 'is_machine' end
       ))
from happened
order by message_id, occurred_at, id
