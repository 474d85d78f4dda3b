-- The first row of the history of new deals; stubs begin none.
create or replace function crm.note_first_stages() returns trigger
language plpgsql as $$
begin
    execute $query$
        insert into crm.deal_stage_history (organization_id, deal_id, "to", to_status, at)
        select organization_id, id, stage, status, created_at
        from after_change
        where status is not null
        order by id
    $query$;
    return null;
end $$;
