-- The timeline of contacts and deals. Readers take the rows below their tick: a planned meeting
-- stands at its begin, which may lie ahead. A meeting has a row for each attending contact.
create or replace view crm.timeline as
select activity.organization_id, activity.kind, activity.direction, activity.contact_id,
       activity.deal_id, activity.company_id, activity.user_id, activity.occurred_at,
       activity.subject, activity.text, activity.source, activity.ref, 'activity' as origin,
       activity.id as origin_id
from crm.activities as activity
union all
select meeting.organization_id, 'meeting', null, attending.contact_id, meeting.deal_id, null,
       meeting.owner_id, meeting.starts_at, meeting.title, null, 'meeting',
       'meeting ' || meeting.id, 'meeting', meeting.id
from crm.meetings as meeting
left join crm.meeting_contacts as attending
    on attending.meeting_id = meeting.id and attending.contact_id is not null
where meeting.status <> 'cancelled'
union all
select task.organization_id, 'task', null, task.contact_id, task.deal_id, null, task.owner_id,
       task.done_at, task.title, null, task.job, 'task ' || task.id, 'task', task.id
from crm.tasks as task
where task.done_at is not null
union all
select message.organization_id, 'email', 'out', message.contact_id, null, null, null,
       message.sent_at, null, null, 'sequence', 'message ' || message.id, 'message', message.id
from delivery.messages as message
where message.program_kind = 'sequence' and message.channel = 'email'
    and message.sent_at is not null and message.contact_id is not null;
comment on view crm.timeline is
    'Activities, meetings that are not cancelled, done tasks and sent mail of sequences';
comment on column crm.timeline.organization_id is 'Organization (tenant)';
comment on column crm.timeline.kind is 'email, call, meeting, note, task, other';
comment on column crm.timeline.direction is 'in: from the contact; out: to it; null = neither';
comment on column crm.timeline.contact_id is 'Contact; null = none is known';
comment on column crm.timeline.deal_id is 'Deal; null = it belongs to the deals of the contact';
comment on column crm.timeline.company_id is 'Company, if named';
comment on column crm.timeline.user_id is 'User who took part';
comment on column crm.timeline.occurred_at is 'When it happened, or will: the begin of a meeting';
comment on column crm.timeline.subject is 'Subject or title';
comment on column crm.timeline.text is 'Text';
comment on column crm.timeline.source is
    'Way in: file, meeting, sequence, or the part that wrote it; of a task the job that made it';
comment on column crm.timeline.ref is 'Row that it stands for, such as message 17';
comment on column crm.timeline.origin is 'activity, meeting, task or message';
comment on column crm.timeline.origin_id is 'Number of the activity, meeting, task or message';
