-- The number of active programs of a kind.
select count(*) from lifecycle.programs where kind = :kind and status = 'active'
