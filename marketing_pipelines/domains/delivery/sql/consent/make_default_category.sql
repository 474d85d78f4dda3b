-- Makes the category that an organization without categories has.
insert into delivery.categories (organization_id, external_id, name, mode, is_default)
select :organization_id, 'general', 'General', 'opt_out', true
where not exists (
    select from delivery.categories where organization_id = :organization_id and is_default
)
on conflict (organization_id, external_id) do update set is_default = true
