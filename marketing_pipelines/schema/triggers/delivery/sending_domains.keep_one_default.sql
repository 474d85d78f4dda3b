create or replace trigger keep_one_default
after insert or update of is_default on delivery.sending_domains
for each row when (new.is_default) execute function delivery.keep_one_default();
