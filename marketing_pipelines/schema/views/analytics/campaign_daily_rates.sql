create or replace view analytics.campaign_daily_rates as
select campaign_id,
       organization_id,
       date,
       sent,
       delivered,
       delivered::double precision / nullif(sent, 0) as delivery_rate,
       opened::double precision / reached as open_rate,
       (opened - machine_opened)::double precision / reached as human_open_rate,
       clicked::double precision / reached as click_rate,
       unique_opened::double precision / unique_reached as unique_open_rate,
       unique_clicked::double precision / unique_reached as unique_click_rate,
       bounced::double precision / nullif(sent, 0) as bounce_rate,
       complained::double precision / reached as complaint_rate,
       unsubscribed::double precision / reached as unsubscribe_rate
from analytics.campaign_daily_stats
cross join lateral (
    select nullif(case when delivered > 0 then delivered else sent end, 0) as reached,
           nullif(case when delivered > 0 then unique_delivered else unique_sent end, 0)
               as unique_reached
) as audience;
comment on view analytics.campaign_daily_rates is
    'Rates per campaign and day over delivered mail, over sent mail where no delivery is known; '
    'null where there is neither';
comment on column analytics.campaign_daily_rates.sent is 'Events of type sent';
comment on column analytics.campaign_daily_rates.delivered is 'Events of type delivered';
comment on column analytics.campaign_daily_rates.delivery_rate is 'Delivered per sent';
comment on column analytics.campaign_daily_rates.open_rate is 'Opens, machines included, per mail';
comment on column analytics.campaign_daily_rates.human_open_rate is
    'Opens that the provider does not attribute to a machine, per mail';
comment on column analytics.campaign_daily_rates.click_rate is 'Clicks per mail';
comment on column analytics.campaign_daily_rates.unique_open_rate is
    'Contacts that opened per contact reached';
comment on column analytics.campaign_daily_rates.unique_click_rate is
    'Contacts that clicked per contact reached';
comment on column analytics.campaign_daily_rates.bounce_rate is 'Bounces per sent mail';
comment on column analytics.campaign_daily_rates.complaint_rate is 'Complaints per mail';
comment on column analytics.campaign_daily_rates.unsubscribe_rate is 'Unsubscribes per mail';
