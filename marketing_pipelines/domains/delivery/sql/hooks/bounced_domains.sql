-- The sending domains of mails that bounced for good.
select distinct domain.id
from delivery.message_events as event
join delivery.messages as message on message.id = event.message_id
join delivery.sending_domains as domain
    on domain.id = coalesce(message.domain_id, delivery.default_domain(message.organization_id))
where event.id = any(:ids) and event.type = 'bounced'
    and message.channel = 'email' and message.bounce = 'hard'
order by domain.id
