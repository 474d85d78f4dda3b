-- Writes the results of attempts; a delivery that another attempt settled meanwhile stays as it is.
update webhooks.deliveries as delivery
set state = result.state, attempts = result.attempts, status = result.status,
    response = result.response, due_at = coalesce(result.due_at, delivery.due_at),
    first_failed_at = coalesce(delivery.first_failed_at, result.failed_at),
    ended_at = result.ended_at
from jsonb_to_recordset(:results) as result (
    id bigint, attempts_before integer, state text, attempts integer, status integer,
    response text, due_at timestamptz, failed_at timestamptz, ended_at timestamptz)
where delivery.id = result.id
    and delivery.state = 'waiting'
    and delivery.attempts = result.attempts_before
