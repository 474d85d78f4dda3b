-- Takes out of its program the one contact whose step cannot be done, saying why.
with failed as (
    update lifecycle.enrolments as enrolment
    set status = 'failed', failed_at = :tick, next_step_at = null, awaits = null, reason = :reason
    from claimed
    where enrolment.id = claimed.enrolment_id and claimed.place = :place
        and enrolment.status = 'active'
    returning enrolment.id, enrolment.step_id
)
insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)
select id, coalesce(step_id, 0), 'failed', :reason, :tick from failed
on conflict (enrolment_id, step_id) do update
set outcome = 'failed', reason = excluded.reason, at = excluded.at
