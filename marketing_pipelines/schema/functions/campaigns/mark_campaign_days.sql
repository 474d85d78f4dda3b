-- Campaign days that are done, and yesterday, which may be counted at this moment, become stale when
-- the start or the cancellation of a campaign changes: from the earlier of the two instants on.
create or replace function campaigns.mark_campaign_days() returns trigger
language plpgsql as $$
declare
    changed_from timestamptz;
begin
    if tg_op = 'UPDATE' then
        select min(case
                       when first_before is distinct from first_after
                           then least(first_before, first_after)
                       else least(before.cancelled_at, after.cancelled_at)
                   end)
        into changed_from
        from before_change as before
        join after_change as after using (id)
        cross join lateral (
            select campaigns.first_day(before.status, before.started_at) as first_before,
                   campaigns.first_day(after.status, after.started_at) as first_after
        ) as days
        where (first_before, before.cancelled_at) is distinct from (first_after, after.cancelled_at);
    else
        select min(campaigns.first_day(status, started_at)) into changed_from from touched;
    end if;
    perform campaigns.mark_days_from(changed_from);
    return null;
end $$;
