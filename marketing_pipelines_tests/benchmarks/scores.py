"""The rules of scores as bare SQL, for the benchmarks of jobs that compute them."""

INTENT_SCORE = """
    select contact_id, sum(rest) as score
    from (
        select contact_id, points - 2 * age as rest, age
        from (
            select contact_id, points,
                   floor(extract(epoch from {0} - occurred_at) / 86400) as age
            from analytics.contact_activity
            join (values ('page_view', 5, 1), ('opened', 3, 1), ('clicked', 10, 2),
                         ('form_submission', 20, 7), ('demo_request', 50, 22))
                as signal (type, points, days) on type = event_type
            where organization_id = 1 and occurred_at < {0}
                and occurred_at >= {0} - days * interval '1 day'
                and not coalesce(properties, '{{}}') @> '{{"machine_open": true}}'
                and not coalesce(properties, '{{}}') @> '{{"machine_click": true}}'
        ) as aged
    ) as decayed
    where age = 0 or rest >= 10
    group by contact_id
"""
_COUNT = """
    select contact_id, count(*) filter (where {0}) as number from analytics.contact_activity
    where organization_id = 1 and event_type = '{1}' and occurred_at < %(at)s
        and occurred_at >= %(at)s - interval '{2} days'
    group by contact_id
"""
_COUNTED = (
    ("visits", "page_view", 30),
    ("replies", "replied", 90),
    ("forms", "form_submission", 90),
    ("demos", "demo_request", 180),
    ("purchases", "purchase", 365),
    ("unsubscribed", "unsubscribed", 365),
    ("bounced", "bounced", 90),
)
# The points of the shipped rules of each contact that a condition chooses.
LEAD_SCORE = (
    """
    select contact.id, least(100, greatest(0,
               case when coalesce(email, '') <> '' then 5 else 0 end
               + case when coalesce(phone, '') <> '' then 5 else 0 end
               + case when coalesce(first_name, '') <> '' and coalesce(last_name, '') <> '' then 5
                   else 0 end
               + case when company_id is not null then 10 else 0 end
               + least(10, coalesce(visits.number, 0)) + least(15, 5 * coalesce(clicks.number, 0))
               + least(20, 10 * coalesce(replies.number, 0))
               + least(30, 15 * coalesce(forms.number, 0))
               + case when demos.number > 0 then 25 else 0 end
               + case when purchases.number > 0 then 10 else 0 end
               - case when unsubscribed.number > 0 then 20 else 0 end
               - case when bounced.number > 0 then 10 else 0 end))::integer as score
    from crm.contacts as contact
    left join (
        select contact_id, count(distinct (occurred_at at time zone 'UTC')::date) as number
        from analytics.contact_activity
        where organization_id = 1 and event_type = 'clicked' and occurred_at < %(at)s
            and occurred_at >= %(at)s - interval '30 days'
        group by contact_id
    ) as clicks on clicks.contact_id = contact.id
"""
    + "".join(
        f"left join ({_COUNT.format('true', kind, days)}) as {name}"
        f" on {name}.contact_id = contact.id\n"
        for name, kind, days in _COUNTED
    )
    + "    where organization_id = 1"
)
