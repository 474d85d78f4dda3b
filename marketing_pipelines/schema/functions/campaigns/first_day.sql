-- The days of a campaign begin when it is started, and end when it is cancelled.
create or replace function campaigns.first_day(status text, started_at timestamptz) returns timestamptz
language sql immutable parallel safe as $$
    select started_at where status not in ('draft', 'scheduled', 'imported')
$$;
