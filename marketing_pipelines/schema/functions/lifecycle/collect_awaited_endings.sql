-- Collects the event types that are exit or goal of programs, by their kind, which is the argument.
create or replace function lifecycle.collect_awaited_endings() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.awaited_events (purpose, organization_id, event_type)
    select distinct tg_argv[0], touched.organization_id, named #>> '{}'
    from touched
    cross join lateral (
        select jsonb_path_query(touched.exit, '$[*].event') as named
        union all
        select jsonb_path_query(touched.goal, '$[*].event')
    ) as condition
    where jsonb_typeof(named) = 'string'
    order by 2, 3
    on conflict do nothing;
    return null;
end $$;
