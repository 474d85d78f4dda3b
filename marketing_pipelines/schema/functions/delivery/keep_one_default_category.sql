-- An organization has one default category: the one that was made so last.
create or replace function delivery.keep_one_default_category() returns trigger
language plpgsql as $$
begin
    -- The update below is a statement on the same table, and a statement without rows fires this
    -- trigger too.
    if not exists (select from touched where is_default) then
        return null;
    end if;
    update delivery.categories as category
    set is_default = false
    from (
        select organization_id, max(id) as id from touched where is_default group by organization_id
    ) as latest
    where category.organization_id = latest.organization_id
        and category.is_default and category.id <> latest.id;
    return null;
end $$;
