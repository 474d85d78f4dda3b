create or replace trigger keep_one_default_category_after_change
after update on delivery.categories
referencing new table as touched
for each statement execute function delivery.keep_one_default_category();
