-- Campaigns of this external id or, where no campaign has it, this number; of all organizations, or
-- of the one with this external id or number.
with of_organization as (
    select id, organization_id, external_id
    from campaigns.campaigns
    where cast(:organization as text) is null
    or organization_id in (
        select id from crm.organizations
        where external_id = :organization or cast(id as text) = :organization
    )
)
select id, organization_id from of_organization where external_id = :name
union all
select id, organization_id from of_organization
where cast(id as text) = :name
and not exists (select from of_organization where external_id = :name)
