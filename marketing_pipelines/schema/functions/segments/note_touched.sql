-- Notes which contacts a statement touched, one row per statement and organization. A statement
-- that touches very many notes "many" instead: then all contacts are evaluated, which is cheaper.
create or replace function segments.note_touched() returns trigger
language plpgsql as $$
declare
    many constant integer := 20000;
begin
    if tg_argv[0] = 'id' then
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, case when count(*) <= many then array_agg(id order by id) end
        from touched group by organization_id order by organization_id;
    elsif (select count(*) from touched) > many then
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, case when count(*) <= many then array_agg(distinct contact_id) end
        from touched group by organization_id order by organization_id;
    else
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, array_agg(distinct contact_id)
        from touched group by organization_id order by organization_id;
    end if;
    return null;
end $$;
