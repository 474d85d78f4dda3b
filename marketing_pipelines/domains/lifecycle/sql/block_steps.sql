-- Has contacts stay at these steps.
update planned_steps set is_blocked = true
where step_id = any(cast(:steps as bigint[])) and not is_blocked
