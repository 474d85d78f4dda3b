-- A row of history for each deal whose stage or status a statement changed. A stub that becomes a
-- deal begins its history, like a new deal.
create or replace function crm.note_stages() returns trigger
language plpgsql as $$
begin
    execute $query$
        insert into crm.deal_stage_history (organization_id, deal_id, "from", "to", from_status,
                                            to_status, at)
        select after.organization_id, after.id, before.stage, after.stage, before.status,
               after.status,
               case when before.status is null then after.created_at
                   else after.stage_changed_at end
        from before_change as before
        join after_change as after using (id)
        where (before.stage, before.status) is distinct from (after.stage, after.status)
            and after.status is not null
        order by after.id
    $query$;
    return null;
end $$;
