-- The messages of each day of the reporting zone and step that left.
select cast(message.sent_at at time zone :zone as date) as day, step.external_id as step,
       message.channel, count(*) as messages
from delivery.messages as message
join lifecycle.steps as step on step.id = message.step_id
where message.program_kind = :kind and message.program_id = :program and message.queued_at >= :since
    and message.sent_at is not null
group by 1, step.position, step.id, step.external_id, message.channel
order by 1, step.position, step.id
