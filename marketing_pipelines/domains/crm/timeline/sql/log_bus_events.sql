-- Writes bus events into the timeline, each once.
insert into crm.activities (
    organization_id, external_id, kind, contact_id, deal_id, occurred_at, subject, source, ref
)
select event.organization_id, 'bus:' || event.id, 'other', contact.id, deal.id,
       coalesce((event.payload ->> 'at')::timestamptz, event.published_at),
       case event.type
           when 'form.submitted' then format('Form %s submitted', event.payload ->> 'form')
           else format(
               'Deal %s moved from %s to %s', coalesce(deal.name, event.payload ->> 'deal'),
               coalesce(event.payload ->> 'from', 'no stage'),
               coalesce(event.payload ->> 'to', 'no stage')
           )
       end,
       'bus',
       case event.type
           when 'form.submitted' then 'submission ' || (event.payload ->> 'submission')
           else 'deal ' || (event.payload ->> 'deal')
       end
from ops.bus_events as event
left join crm.contacts as contact
    on contact.id = event.contact_id and contact.organization_id = event.organization_id
left join crm.deals as deal
    on deal.organization_id = event.organization_id
    and deal.external_id = event.payload ->> 'deal'
where event.id = any(:ids) and event.type in ('form.submitted', 'deal.stage_changed')
order by event.id
on conflict (organization_id, external_id) do nothing
