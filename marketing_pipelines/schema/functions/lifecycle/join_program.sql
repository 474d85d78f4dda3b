-- An enrolment locks its program while it is written, so that a job that judges whether the program
-- is over either sees the enrolment or skips the program. A campaign becomes active again that was
-- completed while the contact waited to enter, or before, if it has steps: campaigns without steps
-- were completed elsewhere and are history. An enrolment without `next_step_at` is due at once.
create or replace function lifecycle.join_program() returns trigger
language plpgsql as $$
declare
    before text;
    now_held text;
begin
    if new.program_kind = 'campaign' then
        select status into before from campaigns.campaigns where id = new.program_id;
    end if;
    now_held := lifecycle.hold_program(new.program_kind, new.program_id);
    if now_held is null then
        raise foreign_key_violation using message =
            format('there is no %s %s', new.program_kind, new.program_id);
    end if;
    if new.status = 'active' and now_held = 'completed' and (
        before = 'active'
        or exists (
            select from lifecycle.steps
            where program_kind = 'campaign' and program_id = new.program_id
        )
    ) then
        update campaigns.campaigns set status = 'active', completed_at = null
        where id = new.program_id and status = 'completed';
    end if;
    new.next_step_at := coalesce(new.next_step_at, new.entered_at);
    return new;
end $$;
