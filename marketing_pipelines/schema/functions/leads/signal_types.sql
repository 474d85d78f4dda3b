-- The types of events that may earn points in an organization with these settings: the usual ones, as
-- `SIGNAL_POINTS` has them, and its own.
create or replace function leads.signal_types(settings jsonb) returns text[]
language sql immutable parallel safe as $$
    select array['page_view', 'opened', 'clicked', 'form_submission', 'demo_request'] || array(
        select jsonb_object_keys(settings #> '{intent,points}')
        where jsonb_typeof(settings #> '{intent,points}') = 'object'
        except
        select unnest(array['page_view', 'opened', 'clicked', 'form_submission', 'demo_request'])
    )
$$;
comment on function leads.signal_types(jsonb) is
    'Types of events that may earn intent points under the settings of an organization';
