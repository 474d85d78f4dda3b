-- Notes signals of interest in their own transaction: however late it commits, the next run sees them.
create or replace function leads.note_signals() returns trigger
language plpgsql as $$
begin
    insert into leads.signal_arrivals (organization_id, contact_id, first_at, last_at)
    with signal as materialized (
        select organization.id, leads.signal_types(organization.settings) as types
        from crm.organizations as organization
        where organization.id in (select organization_id from touched)
    )
    select touched.organization_id, touched.contact_id, min(touched.occurred_at),
           max(touched.occurred_at)
    from touched
    join signal on signal.id = touched.organization_id
    where touched.event_type = any(signal.types)
    group by touched.organization_id, touched.contact_id
    order by touched.organization_id, touched.contact_id;
    return null;
end $$;
