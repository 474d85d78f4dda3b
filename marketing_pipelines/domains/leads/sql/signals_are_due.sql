-- True if signals arrived of an organization that did not fail within the last hour.
select exists (
    select
    from crm.organizations as organization
    where exists (
            select from leads.signal_arrivals as arrival
            where arrival.organization_id = organization.id and arrival.first_at < :now
        )
        and not exists (
            select from ops.item_failures as failure
            where failure.job = :job and failure.item = 'organization ' || organization.external_id
                and failure.last_failed_at > :now - interval '1 hour'
        )
)
