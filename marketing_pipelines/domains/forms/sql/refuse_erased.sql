-- Refuses new submissions of erased persons that are older than the erasure, or that a first reading
-- brings: they are no new relationship. The row is known by its hashes from now on.
update read_submissions as own
set data = '{}', fields = '{}', address = null, external_id = null, contact_id = null,
    problem = 'erased'
where own.is_changed
    and (
        :is_import
        or own.submitted_at < (
            select max(requested_at) from ops.erasures where organization_id = :organization_id
        )
    )
    and (
        ops.is_erased(:inner_block, :outer_block, :organization_id, 'email', own.address)
        or ops.is_erased(:inner_block, :outer_block, :organization_id, 'external_id', own.external_id)
        or ops.is_erased(:inner_block, :outer_block, :organization_id, 'sms', own.fields ->> 'phone')
    )
