-- The types of events that the score rules of an organization read: those of its own rules, else of the
-- shipped ones, as `SHIPPED` has them. A name that ends with `*` stands for all that begin so.
create or replace function leads.rule_types(organization bigint) returns text[]
language sql stable parallel safe as $$
    select case
        when exists (select from leads.score_rules where organization_id = organization) then array(
            select distinct event #>> '{}'
            from leads.score_rules
            cross join lateral jsonb_path_query(rule, 'strict $.**.event') as event
            where organization_id = organization and enabled and jsonb_typeof(event) = 'string'
        )
        else array['page_view', 'clicked', 'replied', 'form_submission', 'demo_request', 'purchase',
                   'unsubscribed', 'bounced']
    end
$$;
comment on function leads.rule_types(bigint) is
    'Types of events that the score rules of an organization read; `*` at the end: all that begin so';
