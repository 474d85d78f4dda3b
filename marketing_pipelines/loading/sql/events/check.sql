-- DuckDB. Events as the right types, each with the first thing that is wrong with it.
with parsed as (
    select line, event_id, organization_id, contact_id,
           trim(event_type, e' \t\r\n') as event_type,
           event_source,
           occurred_at as occurred_text, read_instant(occurred_at, $zone) as occurred_at,
           received_at as received_text, read_instant(received_at, $zone) as received_at,
           case when properties < '!' then nullif(trim(properties, e' \t\r\n'), '')
                else properties end as properties,
           extras
    from batch
), typed as (
    select * replace (
        held_instant(occurred_at) as occurred_at, held_instant(received_at) as received_at)
    from parsed
), judged as (
    select *,
           case
               when id_problem(event_id) is not null then 'event_id'
               when id_problem(organization_id) is not null then 'organization_id'
               when id_problem(contact_id) is not null then 'contact_id'
               when id_problem(event_type) is not null
                   or starts_with(event_type, 'monthly:') then 'event_type'
               when event_source is not null
                   and id_problem(event_source) is not null then 'event_source'
               when occurred_at is null
                   or occurred_at < $first_instant or occurred_at >= $last_instant
                   then 'occurred_at'
               when received_text is not null and received_at is null then 'received_at'
               when json_problem(properties) is not null or json_problem(extras) is not null
                   then 'properties'
           end as wrong_column
    from typed
)
select line, event_id, organization_id, contact_id, event_type, event_source, occurred_at,
       coalesce(received_at, $started_at) as received_at, properties, extras, wrong_column,
       case wrong_column
           when 'event_id' then id_problem(event_id)
           when 'organization_id' then id_problem(organization_id)
           when 'contact_id' then id_problem(contact_id)
           when 'event_type' then
               coalesce(id_problem(event_type), 'must not begin with monthly:')
           when 'event_source' then id_problem(event_source)
           when 'occurred_at' then
               case
                   when occurred_text is null then 'is missing'
                   when occurred_at is null
                       then instant_problem(occurred_text, occurred_at, $zone)
                   when occurred_at >= $last_instant
                       then instant_problem(occurred_text, null::timestamptz, $zone)
                   else 'lies before the first day, ' || $first_day || ': set MARKETING_FIRST_DAY earlier to keep such events'
               end
           when 'received_at' then instant_problem(received_text, received_at, $zone)
           when 'properties' then coalesce(json_problem(properties), json_problem(extras))
       end as refused_because,
       hash(organization_id, event_id) as id_hash
from judged
