-- Marks the destinations that the connection listed before and that the complete listing does not
-- have any more.
update crm.destinations as known
set gone_at = :tick
where known.organization_id = :organization_id and known.listed_by = :connection_id
    and known.gone_at is null
    and not exists (
        select from listed_destinations as listed where listed.external_id = known.external_id
    )
