-- Events and distinct contacts per organization and type within [start, end).
SELECT organization_id,
       event_type,
       COUNT(*) AS event_count,
       COUNT(DISTINCT contact_id) AS unique_contacts
FROM events
WHERE occurred_at >= :start AND occurred_at < :end
GROUP BY organization_id, event_type
