create or replace view integrations.connection_names as
select id, organization_id, provider || case external_id when '' then '' else ':' || external_id end
       as external_id
from integrations.connections;
comment on view integrations.connection_names is 'Connections by the names that files have for them';
comment on column integrations.connection_names.external_id is
    'Provider, and behind a colon the connection''s own name where it has one';
