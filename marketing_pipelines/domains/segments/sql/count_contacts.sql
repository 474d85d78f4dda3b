-- The contacts of an organization.
select count(*) from crm.contacts where organization_id = :organization_id
