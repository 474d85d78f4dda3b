-- Keeps the arrivals that hold events at or after the tick too, for the next of those.
update leads.signal_arrivals as arrival
set first_at = coalesce((
    select min(event.occurred_at)
    from crm.organizations as organization
    join analytics.contact_activity as event on event.organization_id = organization.id
    where organization.id = arrival.organization_id and event.contact_id = arrival.contact_id
        and event.occurred_at >= :tick and event.occurred_at <= arrival.last_at
        and case when arrival.is_signal
            then event.event_type = any(leads.signal_types(organization.settings))
            else leads.is_among(event.event_type, leads.rule_types(organization.id)) end
), arrival.last_at)
from arrived
where arrival.id = arrived.id and arrival.last_at >= :tick
