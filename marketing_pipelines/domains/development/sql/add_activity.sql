-- Writes an hour of made-up activity of the contacts of an organization, each event once: visits, and
-- opens and clicks of campaign mail of the three days before. Chance is a hash of contact and hour.
with weights as (
    -- Visits by hour of the organization's day, as multiples of the mean; opens follow them.
    select (array[0.25, 0.15, 0.1, 0.08, 0.1, 0.2, 0.45, 0.8, 1.2, 1.5, 1.6, 1.55,
                  1.4, 1.5, 1.55, 1.5, 1.4, 1.3, 1.25, 1.35, 1.5, 1.3, 0.9, 0.5])
               [1 + cast(extract(hour from cast(:start as timestamptz) at time zone :zone) as int)]
           as weight
),
visitors as (
    select contact.id, draws.moment, draws.kind
    from crm.contacts as contact
    cross join weights
    cross join lateral (
        select (hashtextextended('visits ' || contact.id, :seed) & 1048575) / 1048576.0 as visits,
               (hashtextextended('moment ' || contact.id, :seed) & 1048575) / 1048576.0 as moment,
               (hashtextextended('kind ' || contact.id, :seed) & 1048575) / 1048576.0 as kind
    ) as draws
    where contact.organization_id = :organization_id
        and draws.visits < 0.02 * weights.weight
    order by draws.visits, contact.id
    limit 1000
),
readers as (
    select mail.contact_id, mail.source_type, mail.source_id, draws.moment, draws.clicks
    from (
        select distinct on (contact_id) contact_id, source_type, source_id, occurred_at
        from analytics.contact_activity
        where organization_id = :organization_id and event_type = 'sent'
            and occurred_at >= cast(:start as timestamptz) - interval '3 days'
            and occurred_at < :start
        order by contact_id, occurred_at desc, id desc
    ) as mail
    cross join weights
    cross join lateral (
        select (hashtextextended('opens ' || mail.contact_id, :seed) & 1048575) / 1048576.0 as opens,
               (hashtextextended('opened ' || mail.contact_id, :seed) & 1048575) / 1048576.0 as moment,
               (hashtextextended('clicks ' || mail.contact_id, :seed) & 1048575) / 1048576.0 as clicks
    ) as draws
    where draws.opens < 0.01 * weights.weight
    order by draws.opens, mail.contact_id
    limit 1000
),
happened (contact_id, event_type, source_type, source_id, share, properties) as (
    select id, 'page_view', null, cast(null as bigint), moment * 0.9,
           jsonb_build_object('path', (array['/', '/pricing', '/offers', '/contact'])
                                          [1 + cast(floor(kind * 4) as int)])
    from visitors
    union all
    select id, 'purchase', null, null, moment * 0.9 + 0.05,
           jsonb_build_object('order_value', round(cast(5 + moment * 200 as numeric), 2),
                              'currency', 'EUR')
    from visitors
    where kind < 0.08
    union all
    select id, 'form_submission', null, null, moment * 0.9 + 0.05,
           jsonb_build_object('form', 'contact')
    from visitors
    where kind > 0.97
    union all
    select contact_id, 'opened', source_type, source_id, moment * 0.9, cast(null as jsonb)
    from readers
    union all
    select contact_id, 'clicked', source_type, source_id, moment * 0.9 + 0.05,
           jsonb_build_object('url', 'https://shop.example/offers')
    from readers
    where clicks < 0.2
),
told as (
    select 'test-data:' || extract(epoch from cast(:start as timestamptz))::bigint || ':'
               || contact_id || ':' || event_type as event_id,
           cast(:start as timestamptz)
               + make_interval(secs => cast(floor(share * 3600) as double precision)) as occurred_at,
           happened.*
    from happened
)
insert into analytics.contact_activity (
    organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
    received_at, properties
)
select :organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
       occurred_at, coalesce(properties, '{}') || '{"made_up": true}'
from told
where not exists (
    select from analytics.event_keys as held
    where held.organization_id = :organization_id and held.event_id = told.event_id
)
order by occurred_at, contact_id, event_type
