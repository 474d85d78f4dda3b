-- Events and distinct contacts per organization, type and UTC hour of the files.
SELECT organization_id,
       event_type,
       CAST(dt AS DATE) AS date,
       CAST(hr AS INTEGER) AS hour_of_day,
       COUNT(*) AS event_count,
       COUNT(DISTINCT contact_id) AS unique_contacts
FROM events
GROUP BY organization_id, event_type, dt, hr
