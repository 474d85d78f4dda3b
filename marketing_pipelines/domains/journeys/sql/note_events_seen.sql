-- Notes that triggers have seen the events that arrived.
update lifecycle.triggers set evaluated_at = :at
where id = any(cast(:ids as bigint[])) and evaluated_at < :at
