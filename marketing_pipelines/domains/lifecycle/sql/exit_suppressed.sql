-- Ends enrolments of contacts who unsubscribed, complained or cannot be reached by mail.
insert into outcomes
select moving.enrolment_id, moving.step_id, 'exited', suppression.reason
from moving
cross join lateral (
    select suppressions.reason
    from delivery.suppressions
    where suppressions.contact_id = moving.contact_id and suppressions.channel in ('email', 'all')
    order by suppressions.since
    limit 1
) as suppression
where moving.status = 'active'
