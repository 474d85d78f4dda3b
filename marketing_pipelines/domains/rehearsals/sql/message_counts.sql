-- The messages of each step of the program by state and reason; late ones left five minutes or more
-- after their step.
select step.external_id as step, message.channel, message.state, message.reason,
       count(*) as messages,
       count(*) filter (where message.sent_at >= message.queued_at + interval '5 minutes') as late,
       extract(epoch from percentile_cont(0.5) within group (
           order by message.sent_at - message.queued_at
       ) filter (where message.sent_at >= message.queued_at + interval '5 minutes')) as late_seconds
from delivery.messages as message
join lifecycle.steps as step on step.id = message.step_id
where message.program_kind = :kind and message.program_id = :program and message.queued_at >= :since
group by step.position, step.id, step.external_id, message.channel, message.state, message.reason
order by step.position, step.id, messages desc, message.state, message.reason
