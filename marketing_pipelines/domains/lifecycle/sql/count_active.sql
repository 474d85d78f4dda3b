-- How many programs of a kind are active.
select count(*) from lifecycle.programs where kind = :kind and status = 'active'
