-- The reason for which a contact that entered at an instant leaves a sequence at a tick, or null.
create or replace function lifecycle.reason_to_leave(
    contact bigint, entered_at timestamptz, tick timestamptz
) returns table (reason text)
language sql stable as $$
    select coalesce(
        (
            select suppression.reason
            from crm.contacts as own
            cross join lateral delivery.suppression_for(
                own.organization_id, own.id, 'email',
                delivery.address_of('email', own.email), 'marketing', tick
            ) as suppression
            where own.id = contact
        ),
        (
            select 'bounced'
            from analytics.contact_activity as activity
            where activity.contact_id = contact
                and activity.event_type = 'bounced'
                and activity.occurred_at >= reason_to_leave.entered_at
                and activity.occurred_at < tick
                and coalesce(activity.properties ->> 'channel', 'email') not in ('sms', 'push')
            limit 1
        )
    )
$$;
