-- Events and distinct contacts per campaign and type within [start, end), one row per campaign.
SELECT organization_id,
       campaign_id,
       CAST(SUM(CASE WHEN event_type = 'sent' THEN n ELSE 0 END) AS BIGINT) AS sent,
       CAST(SUM(CASE WHEN event_type = 'delivered' THEN n ELSE 0 END) AS BIGINT) AS delivered,
       CAST(SUM(CASE WHEN event_type = 'opened' THEN n ELSE 0 END) AS BIGINT) AS opened,
       CAST(SUM(CASE WHEN event_type = 'clicked' THEN n ELSE 0 END) AS BIGINT) AS clicked,
       CAST(SUM(CASE WHEN event_type = 'bounced' THEN n ELSE 0 END) AS BIGINT) AS bounced,
       CAST(SUM(CASE WHEN event_type = 'complained' THEN n ELSE 0 END) AS BIGINT) AS complained,
       CAST(SUM(CASE WHEN event_type = 'unsubscribed' THEN n ELSE 0 END) AS BIGINT) AS unsubscribed,
       CAST(SUM(CASE WHEN event_type = 'opened' THEN machine ELSE 0 END) AS BIGINT)
           AS machine_opened,
       CAST(SUM(CASE WHEN event_type = 'sent' THEN u ELSE 0 END) AS BIGINT) AS unique_sent,
       CAST(SUM(CASE WHEN event_type = 'delivered' THEN u ELSE 0 END) AS BIGINT)
           AS unique_delivered,
       CAST(SUM(CASE WHEN event_type = 'opened' THEN u ELSE 0 END) AS BIGINT) AS unique_opened,
       CAST(SUM(CASE WHEN event_type = 'clicked' THEN u ELSE 0 END) AS BIGINT) AS unique_clicked,
       CAST(SUM(CASE WHEN event_type = 'bounced' THEN u ELSE 0 END) AS BIGINT) AS unique_bounced,
       CAST(SUM(CASE WHEN event_type = 'complained' THEN u ELSE 0 END) AS BIGINT)
           AS unique_complained,
       CAST(SUM(CASE WHEN event_type = 'unsubscribed' THEN u ELSE 0 END) AS BIGINT)
           AS unique_unsubscribed
FROM (
    SELECT organization_id,
           source_id AS campaign_id,
           event_type,
           COUNT(*) AS n,
           COUNT(DISTINCT contact_id) AS u,
           SUM(CASE WHEN machine_open THEN 1 ELSE 0 END) AS machine
    FROM events
    WHERE source_type = 'campaign' AND occurred_at >= :start AND occurred_at < :end
    GROUP BY organization_id, source_id, event_type
) AS per_type
GROUP BY organization_id, campaign_id
