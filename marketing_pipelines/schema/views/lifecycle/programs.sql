create or replace view lifecycle.programs as
select 'campaign' as kind, id, organization_id, external_id, name, status, started_at, resumed_at,
       cancelled_at, exit, goal, goal_days
from campaigns.campaigns
union all
select 'sequence', id, organization_id, external_id, name, status, started_at, resumed_at,
       cancelled_at, exit, goal, goal_days
from campaigns.sequences
union all
select 'journey', id, organization_id, external_id, name, status, started_at, resumed_at,
       cancelled_at, exit, goal, goal_days
from journey.journeys;
comment on view lifecycle.programs is 'Programs of every kind; contacts move while one is active';
comment on column lifecycle.programs.kind is 'campaign, sequence or journey';
comment on column lifecycle.programs.id is 'Number of the program within its kind';
comment on column lifecycle.programs.external_id is 'Id in the system the row comes from';
comment on column lifecycle.programs.status is 'Contacts move while it is active';
