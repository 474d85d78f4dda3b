create or replace view campaigns.campaign_contacts as
select id, organization_id, program_id as campaign_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at, completed_at, exited_at, failed_at,
       reason, program_kind
from lifecycle.enrolments
where program_kind = 'campaign';
alter view campaigns.campaign_contacts alter column program_kind set default 'campaign';
comment on view campaigns.campaign_contacts is
    'Enrolments of contacts in campaigns, with step and status';
comment on column campaigns.campaign_contacts.campaign_id is 'Campaign';
comment on column campaigns.campaign_contacts.current_step_id is
    'Step that the contact has reached; null = before the first';
