-- Writes the bodies of drafts, which then wait; one with a problem fails, and keeps its fields for a
-- replay.
update webhooks.deliveries as draft
set data = case when filled.problem is null
        then webhooks.cut_data(draft.data || jsonb_build_object('body', filled.body))
        else draft.data end,
    fields = case when filled.problem is not null then draft.fields end,
    state = case when filled.problem is null then 'waiting' else 'failed' end,
    response = filled.problem,
    ended_at = case when filled.problem is not null then cast(:now as timestamptz) end
from jsonb_to_recordset(:filled) as filled (id bigint, body jsonb, problem text)
where draft.id = filled.id and draft.state = 'draft'
