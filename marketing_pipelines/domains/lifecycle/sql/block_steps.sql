-- Blocks these steps: contacts stay at them.
update planned_steps set is_blocked = true
where step_id = any(cast(:steps as bigint[])) and not is_blocked
