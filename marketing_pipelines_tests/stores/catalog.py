"""A database's schema as PostgreSQL describes it, for comparing two of them."""

import sqlalchemy as sa

SCHEMAS = (
    "actions",
    "analytics",
    "campaigns",
    "crm",
    "delivery",
    "exports",
    "forms",
    "inbox",
    "integrations",
    "journey",
    "leads",
    "lifecycle",
    "ops",
    "sales",
    "segments",
    "webhooks",
)

_OBJECTS = sa.text("""
    with relation as (
        select pg_class.oid, relkind, coalesce(relacl, acldefault('r', relowner)) as relacl,
               case relkind when 'v' then 'view ' else 'table ' end || nspname || '.' || relname
                   as name
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = any(:schemas) and relkind in ('r', 'p', 'v')
    ),
    function as (
        select pg_proc.oid, proacl, 'function ' || pg_proc.oid::regprocedure::text as name
        from pg_proc
        join pg_namespace on pg_namespace.oid = pronamespace
        where nspname = any(:schemas)
    )
    select name, 'definition', pg_get_viewdef(oid) from relation where relkind = 'v'
    union all
    select name, 'comment', obj_description(oid, 'pg_class') from relation
    union all
    select name, 'rights', (select string_agg(item::text, ' ' order by item::text)
                            from unnest(relacl) as item) from relation
    union all
    select name, 'column ' || attnum || ' ' || attname,
           concat_ws(' | ', format_type(atttypid, atttypmod), attnotnull, attidentity,
                     pg_get_expr(adbin, adrelid), col_description(attrelid, attnum),
                     nullif(attacl, '{}'))
    from relation
    join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    union all
    select name, 'constraint ' || conname, pg_get_constraintdef(pg_constraint.oid)
    from relation
    join pg_constraint on conrelid = relation.oid
    union all
    select name, 'index', pg_get_indexdef(indexrelid)
    from relation
    join pg_index on indrelid = relation.oid
    union all
    select name, 'trigger ' || tgname, tgenabled::text || ' ' || pg_get_triggerdef(pg_trigger.oid)
    from relation
    join pg_trigger on tgrelid = relation.oid and not tgisinternal
    union all
    select name, 'definition', pg_get_functiondef(oid) from function
    union all
    select name, 'comment', obj_description(oid, 'pg_proc') from function
    union all
    select name, 'rights', proacl::text from function
    union all
    select 'schema ' || nspname, 'rights', nspacl::text
    from pg_namespace
    where nspname = any(:schemas)
    union all
    select 'default rights', coalesce(nspname, '') || ' ' || defaclobjtype::text, defaclacl::text
    from pg_default_acl
    left join pg_namespace on pg_namespace.oid = defaclnamespace
""")


def read_catalog(connection: sa.Connection) -> dict[tuple[str, str], set[str]]:
    """The definitions, comments and rights of all objects of this project's schemas."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, aspect, value in connection.execute(_OBJECTS, {"schemas": list(SCHEMAS)}):
        found.setdefault((name, aspect), set()).add(str(value))
    return found
