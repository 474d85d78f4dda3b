-- Writes the insight of a day, or replaces it where its numbers or texts have changed. Returns its number
-- if it did.
insert into sales.insights as known (
    organization_id, date, metrics, trends, attention, recommendations, writer, digest, created_at
)
values (
    :organization_id, :date, cast(:metrics as jsonb), cast(:trends as jsonb),
    cast(:attention as jsonb), cast(:recommendations as jsonb), 'rules', :digest, :tick
)
on conflict (organization_id, date) do update
set metrics = excluded.metrics, trends = excluded.trends, attention = excluded.attention,
    recommendations = excluded.recommendations, writer = excluded.writer, digest = excluded.digest
where known.digest <> excluded.digest
returning id
