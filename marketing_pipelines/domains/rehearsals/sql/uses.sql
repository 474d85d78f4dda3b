-- The mechanisms that the program uses: segments, triggers of events and dates, dates alone.
select exists (select from lifecycle.used_segments) as segments,
       exists (
           select from lifecycle.triggers where enabled and type in ('event', 'date')
       ) as entries,
       exists (select from lifecycle.triggers where enabled and type = 'date') as dates
