-- What some columns hold, said as it is.
comment on column campaigns.campaigns.started_at is
    'When it was activated, as far as its file says';
comment on column campaigns.campaigns.paused_at is
    'When it was last paused, as far as its file says';
comment on column campaigns.campaigns.cancelled_at is
    'When it was cancelled, as far as its file says';
comment on column campaigns.sequences.started_at is
    'When it was activated, as far as its file says';
comment on column campaigns.sequences.paused_at is
    'When it was last paused, as far as its file says';
comment on column campaigns.sequences.cancelled_at is
    'When it was cancelled, as far as its file says';
comment on column journey.journeys.started_at is
    'When it was activated, as far as its file says';
comment on column journey.journeys.paused_at is
    'When it was last paused, as far as its file says';
comment on column journey.journeys.cancelled_at is
    'When it was cancelled, as far as its file says';
comment on column lifecycle.programs.started_at is
    'When it was activated, as far as its file says';
comment on column lifecycle.programs.external_id is
    'Name of it in its organization';
comment on column delivery.messages.state is
    'queued, claimed or sending; then how it ended';
comment on column ops.alerts.state is
    'queued, claimed or sending; then how it ended';
comment on column campaigns.campaigns.status is
    'draft, scheduled, active, paused, completed, cancelled; imported = known only by name, no clock touches it';
