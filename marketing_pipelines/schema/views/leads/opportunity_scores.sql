create or replace view leads.opportunity_scores as
select opportunity.id as opportunity_id, opportunity.organization_id,
       opportunity.score as base_score, coalesce(ledger.points, 0) as points,
       opportunity.score + coalesce(ledger.points, 0) as score
from crm.opportunities as opportunity
left join (
    select opportunity_id, sum(points) as points
    from leads.opportunity_points
    group by opportunity_id
) as ledger on ledger.opportunity_id = opportunity.id;
comment on view leads.opportunity_scores is 'Scores of opportunities: the base and the ledger';
comment on column leads.opportunity_scores.opportunity_id is 'Opportunity';
comment on column leads.opportunity_scores.organization_id is 'Organization (tenant)';
comment on column leads.opportunity_scores.base_score is 'Score that its source gave it';
comment on column leads.opportunity_scores.points is 'Sum of the ledger';
comment on column leads.opportunity_scores.score is 'Base score and ledger together';
