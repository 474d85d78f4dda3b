-- The messages that campaigns wrote up to a tick, by channel and the state they are in.
select program_id as campaign_id, channel, state, count(*) as messages
from delivery.messages
where program_kind = 'campaign'
    and program_id = any(cast(:campaigns as bigint[]))
    and queued_at <= :tick
group by 1, 2, 3
