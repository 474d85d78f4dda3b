-- Counts a fault of a line. The limit-th in a row opens its breaker, and a failed try opens it for
-- longer. A server that asks for fewer messages gets half of the last minute's rate for a while.
with rate as (
    select greatest(count(*) / 120.0, 1) as ceiling
    from delivery.messages
    where cast(:is_slow_down as boolean) and channel = :channel
        and sent_at > cast(:now as timestamptz) - interval '1 minute' and sent_at <= :now
)
insert into delivery.lines as line
    (name, failures, openings, open_until, last_error, ceiling, ceiling_until)
select :name, 1, 0, cast(:quiet_until as timestamptz), :error,
       case when :is_slow_down then rate.ceiling end,
       case when :is_slow_down then cast(:slow_until as timestamptz) end
from rate
on conflict (name) do update
set failures = line.failures + 1,
    openings = line.openings + case
        when line.opened_at is null and line.failures + 1 >= :limit
            or line.opened_at is not null and :is_trial then 1 else 0
    end,
    open_until = case
        when line.opened_at is null and line.failures + 1 >= :limit
            or line.opened_at is not null and :is_trial
            then greatest(
                excluded.open_until,
                cast(:now as timestamptz) + interval '1 minute' * (cast(:minutes as integer[]))[
                    least(line.openings + 1, cardinality(cast(:minutes as integer[])))
                ]
            )
        else greatest(line.open_until, excluded.open_until)
    end,
    opened_at = coalesce(
        line.opened_at, case when line.failures + 1 >= :limit then cast(:now as timestamptz) end
    ),
    last_error = excluded.last_error,
    ceiling = coalesce(excluded.ceiling, line.ceiling),
    ceiling_until = coalesce(excluded.ceiling_until, line.ceiling_until)
returning failures, opened_at, open_until, last_error
