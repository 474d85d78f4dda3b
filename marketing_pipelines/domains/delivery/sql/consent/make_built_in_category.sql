-- Makes a category that is built in, and with the first category of an organization `general`, which it
-- had so far. An organization that loaded categories has `general` only if it is among them.
with known as (
    select count(*) as number from delivery.categories where organization_id = :organization_id
)
insert into delivery.categories (organization_id, external_id, name, mode, is_default)
select :organization_id, made.external_id, initcap(made.external_id), made.mode,
       made.external_id = 'general'
from known
cross join (
    values ('general', 'opt_out'), (cast(:external_id as text), cast(:mode as text))
) as made (external_id, mode)
where made.external_id <> 'general' or known.number = 0
group by made.external_id, made.mode
on conflict (organization_id, external_id) do nothing
