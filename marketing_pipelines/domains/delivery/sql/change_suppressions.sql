-- Lifts suppressions and renews the instant of known ones, as a file says; one row for each line that
-- changed something. A trigger frees the addresses of a contact that is lifted.
with targets as materialized (
    select entries.line, entries.since, entries.action, known.id
    from loaded_entries as entries
    join delivery.suppressions as known
        on known.contact_id = entries.contact_id
        and known.channel = entries.channel and known.reason = entries.reason
    union all
    select entries.line, entries.since, entries.action, known.id
    from loaded_entries as entries
    join delivery.suppressions as known
        on known.organization_id = entries.organization_id and known.address = entries.address
        and known.channel = entries.channel and known.reason = entries.reason
),
lifted as (
    delete from delivery.suppressions as known
    using targets
    where targets.action = 'lift' and known.id = targets.id
    returning targets.line
),
renewed as (
    update delivery.suppressions as known
    set since = targets.since
    from targets
    where targets.action = 'add' and known.id = targets.id
        and targets.since is not null and known.since <> targets.since
    returning targets.line
)
select line from lifted
union
select line from renewed
