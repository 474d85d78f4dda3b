-- Contacts by name, with all attributes. Made with the right of `marketing_reader` to read it, which
-- `migrate` takes away and gives back as MARKETING_ANALYST_ATTRIBUTES says.
create or replace view analytics.contact_attributes as
select id as contact_id, organization_id, external_id, first_name, last_name, phone, timezone,
       attributes
from crm.contacts;
comment on view analytics.contact_attributes is
    'Names and attributes of contacts, to join; absent for analysts where '
    'MARKETING_ANALYST_ATTRIBUTES is off';
comment on column analytics.contact_attributes.contact_id is 'Contact number';
comment on column analytics.contact_attributes.organization_id is 'Organization (tenant)';
comment on column analytics.contact_attributes.timezone is
    'IANA zone; null = the organization''s zone';
comment on column analytics.contact_attributes.attributes is
    'Columns of loaded files that have no column of their own, as JSON';
