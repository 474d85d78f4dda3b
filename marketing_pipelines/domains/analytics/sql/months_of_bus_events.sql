-- The months in which bus events happened, as their first days in UTC.
select distinct date_trunc(
           'month', coalesce((payload ->> 'tick')::timestamptz, (payload ->> 'at')::timestamptz,
                                   published_at) at time zone 'UTC'
       )::date
from ops.bus_events
where id = any(:ids)
