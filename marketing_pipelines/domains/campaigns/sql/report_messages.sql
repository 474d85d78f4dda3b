-- The messages that campaigns wrote up to a tick, by channel and the state they are in. Steps are never
-- deleted, and messages are found by them.
select step.program_id as campaign_id, message.channel, message.state, count(*) as messages
from lifecycle.steps as step
join delivery.messages as message on message.step_id = step.id
where step.program_kind = 'campaign'
    and step.program_id = any(cast(:campaigns as bigint[]))
    and message.queued_at <= :tick
group by 1, 2, 3
