-- The numbers of an organization's campaigns by external id.
select external_id, id from campaigns.campaigns where organization_id = :organization_id
