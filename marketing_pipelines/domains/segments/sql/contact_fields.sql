-- The attributes that a contact of the organization has or has had, besides the columns.
select field from segments.contact_fields where organization_id = :organization_id
