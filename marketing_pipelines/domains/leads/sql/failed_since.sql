-- The first tick of an item's failures in a row.
select first_failed_at from ops.item_failures where job = :job and item = :item
