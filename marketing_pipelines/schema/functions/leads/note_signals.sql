-- Notes events that scores read in their own transaction: however late it commits, the next run sees
-- them. Signals of interest stand apart from events that score rules alone read.
create or replace function leads.note_signals() returns trigger
language plpgsql as $$
begin
    insert into leads.signal_arrivals (
        organization_id, contact_id, is_signal, first_at, last_at
    )
    with read as materialized (
        select organization.id, leads.signal_types(organization.settings) as signals,
               leads.rule_types(organization.id) as further
        from crm.organizations as organization
        where organization.id in (select organization_id from touched)
    ),
    happened as materialized (
        select touched.organization_id, touched.contact_id, touched.occurred_at,
               touched.event_type = any(read.signals) as is_signal
        from touched
        join read on read.id = touched.organization_id
        where touched.event_type = any(read.signals)
            or leads.is_among(touched.event_type, read.further)
    )
    select organization_id, contact_id, is_signal, min(occurred_at), max(occurred_at)
    from happened
    group by organization_id, contact_id, is_signal
    order by organization_id, contact_id, is_signal;
    return null;
end $$;
