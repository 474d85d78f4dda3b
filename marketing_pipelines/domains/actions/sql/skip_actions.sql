-- Gives locked actions their next due times without taking those that have come; one without a next
-- due time ends as skipped, or as finished where it came again and again.
update actions.scheduled_actions as action
set next_at = skipped.next_at,
    state = case when skipped.next_at is not null then 'active'
        when action.cron is null then 'skipped' else 'finished' end,
    ended_at = case when skipped.next_at is null then cast(:now as timestamptz) end
from unnest(cast(:ids as bigint[]), cast(:next_at as timestamptz[])) as skipped (id, next_at)
where action.id = skipped.id
