-- Marks the campaign days on which inserted or deleted enrolments began or ended.
create or replace function lifecycle.mark_enrolment_days() returns trigger
language plpgsql as $$
begin
    perform lifecycle.mark_days(array(
        select distinct at
        from touched
        cross join lateral (
            values (touched.entered_at), (touched.completed_at), (touched.exited_at)
        ) as instants (at)
        where touched.program_kind = 'campaign'
    ));
    return null;
end $$;
