-- Derives again what enrolments remember of edited steps where they stand. Contacts that wait for an
-- event are looked at anew; where the step is switched off, they wait until its time is out. A time
-- given by a wait stays, unless the step is another type now.
update lifecycle.enrolments as enrolment
set awaits = null,
    next_step_at = case
        when edited.type = 'wait' then enrolment.arrived_at
        when edited.type = 'wait_for' and not edited.enabled and edited.timeout_seconds is not null
            then enrolment.arrived_at + make_interval(secs => edited.timeout_seconds)
        else least(enrolment.next_step_at, :tick)
    end
from jsonb_to_recordset(:rows) as edited (
    step_id bigint, program_id bigint, type text, enabled boolean, timeout_seconds double precision
)
where enrolment.program_kind = :kind
    and enrolment.program_id = edited.program_id
    and enrolment.status = 'active'
    and enrolment.step_id = edited.step_id
    and (enrolment.awaits is not null
         or edited.enabled and edited.type <> 'wait' and enrolment.next_step_at > :tick)
