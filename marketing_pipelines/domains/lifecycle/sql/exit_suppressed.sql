-- Ends enrolments of contacts who unsubscribed, complained, cannot be reached by mail, or of whom a
-- mail bounced, for whatever reason, since they entered.
insert into outcomes
select moving.enrolment_id, moving.step_id, 'exited', left_for.reason
from moving
join lifecycle.enrolments as enrolment on enrolment.id = moving.enrolment_id
cross join lateral (
    select coalesce(
        (
            select suppressions.reason
            from delivery.suppressions
            where suppressions.contact_id = moving.contact_id
                and suppressions.channel in ('email', 'all')
            order by suppressions.since
            limit 1
        ),
        (
            select 'bounced'
            from analytics.contact_activity as activity
            where activity.contact_id = moving.contact_id
                and activity.event_type = 'bounced'
                and activity.occurred_at >= enrolment.entered_at
                and activity.occurred_at < :tick
                and coalesce(activity.properties ->> 'channel', 'email') not in ('sms', 'push')
            limit 1
        )
    ) as reason
) as left_for
where moving.status = 'active' and left_for.reason is not null
