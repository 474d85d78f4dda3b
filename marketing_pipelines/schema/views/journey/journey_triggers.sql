create or replace view journey.journey_triggers as
select id, organization_id, program_id as journey_id, external_id, type, segment_id, event_type,
       config, policy, enabled, evaluated_at
from lifecycle.triggers
where program_kind = 'journey';
comment on view journey.journey_triggers is 'Triggers of journeys';
comment on column journey.journey_triggers.journey_id is 'Journey';
