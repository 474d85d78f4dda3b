-- The mechanisms that the program uses: segments, triggers of events and dates, dates alone, a start
-- at an instant.
select exists (select from lifecycle.used_segments) as segments,
       exists (
           select from lifecycle.triggers where enabled and type in ('event', 'date')
       ) as entries,
       exists (select from lifecycle.triggers where enabled and type = 'date') as dates,
       exists (
           select from lifecycle.programs
           where kind = :kind and id = :program and status = 'scheduled'
       ) as schedule
