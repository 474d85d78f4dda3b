"""The check of entity rows as one DuckDB statement, written from the kind's declaration."""

from marketing_pipelines.stores.kinds import Column, Kind

_INT_RANGE = "between -2147483648 and 2147483647"


def check_statement(kind: Kind, header: list[str] | None) -> str:
    """SQL over `batch` (as `ColumnPicker` makes it) that judges and re-writes rows.

    Args:
        header: the file's columns; None: each row has its own in `keys`.

    The result has `line`, `organization_id` (but for organizations), the key and reference columns
    (for each reference also `sets_<name>`: whether the row sets it), `fields` and `extras` (JSON
    objects: the keys that the row sets; null clears one), and, of a refused row, `wrong_column`,
    the first, and `refused_because`, about it and the others. Parameters: zone, zones.
    """
    ids = _id_columns(kind)
    problems = [(name, f'id_problem("{name}")') for name in ids if name in kind.required]
    problems += [
        (column.name, problem)
        for column in kind.columns
        for problem in _problems(column, column.name in ids)
    ]
    unknown = "json_problem(extras)" if kind.attributes else "extra_problem(extras)"
    problems.append(("", unknown))
    fields = ", ".join(
        _field(column, header) for column in kind.columns if column.name not in kind.key
    )
    listed = "".join(f"{_id(name, kind)}, " for name in ids)
    listed += "".join(
        f'{_is_set(column, header)} as "sets_{column.name}", ' for column in kind.references
    )
    numbered = [(name, f"problem_{at}") for at, (name, _) in enumerate(problems)]
    names = " ".join(f"when {at} is not null then '{name}'" for name, at in numbered)
    reasons = ", ".join(f"'{name} ' || {at}" for name, at in numbered)
    judged = "".join(f", {problem} as problem_{at}" for at, (_, problem) in enumerate(problems))
    instants = [column.name for column in kind.columns if column.type == "instant"]
    read = "".join(f', read_instant("{name}", $zone) as {_instant(name)}' for name in instants)
    held = "".join(f", held_instant({_instant(name)}) as {_instant(name)}" for name in instants)
    # Macros are texts that DuckDB plans again wherever they stand, so each value has one place.
    relation = f"(select *{read} from batch)"
    if held:
        relation = f"(select * replace ({held[2:]}) from {relation})"
    return (
        f"select line, {listed}concat_ws(',', {fields}) as fields,"
        " substr(extras, 2, length(extras) - 2) as extras,"
        f" case {names} end as wrong_column,"
        f" substr(concat_ws('; ', {reasons}), length(wrong_column) + 2) as refused_because"
        f" from (select *{judged} from {relation})"
    )


def _id_columns(kind: Kind) -> list[str]:
    own = [c.name for c in kind.columns if c.name in kind.key or c.reference is not None]
    return own if kind.tenants else ["organization_id", *own]


def _id(name: str, kind: Kind) -> str:
    """SQL of an id; rows that leave it empty and rows that write its default are one entity."""
    empty = next((c.empty for c in kind.columns if c.name == name), None)
    return f'"{name}"' if empty is None else f'coalesce("{name}", {empty}) as "{name}"'


def _problems(column: Column, is_id: bool) -> list[str]:
    """SQL expressions, each null where the cell is good."""
    name = f'"{column.name}"'
    present = f"{name} is not null"
    if is_id:
        problems = [] if column.required else [f"case when {present} then id_problem({name}) end"]
    else:
        problems = [f"text_problem({name})"]
        if column.required:
            problems.append(f"case when {name} is null then 'is missing' end")
    if column.choices:
        allowed = ", ".join(f"'{choice}'" for choice in column.choices)
        reason = f"'''' || left({name}, 60) || ''' is not one of {', '.join(column.choices)}'"
        problems.append(f"case when {present} and {name} not in ({allowed}) then {reason} end")
    if column.type == "instant":
        problems.append(f"instant_problem({name}, {_instant(column.name)}, $zone)")
    if column.type == "integer":
        decimal = f"regexp_full_match({name}, '[+-]?\\d+,\\d+')"
        fault = f"case when {decimal} then 'has a decimal comma and ' else '' end"
        number = "'is not a whole number PostgreSQL can hold'"
        reason = f"'''' || left({name}, 60) || ''' ' || {fault} || {number}"
        good = f"coalesce(try_cast({name} as bigint) {_INT_RANGE}, false)"
        shape = f"regexp_full_match({name}, '[+-]?\\d+')"
        problems.append(f"case when {present} and not ({shape} and {good}) then {reason} end")
    if column.type in ("number", "date", "list"):
        problems.append(f"{column.type}_problem({name})")
    problems += _beyond_bounds(column) + _too_long(column)
    if column.type == "boolean":
        reason = f"'''' || left({name}, 60) || ''' is neither true nor false'"
        good = f"lower({name}) in ('true', 'false', '1', '0')"
        problems.append(f"case when {present} and not {good} then {reason} end")
    if column.type == "zone":
        reason = f"'''' || left({name}, 60) || ''' is not an IANA time zone'"
        known = f"list_contains($zones, {name})"
        problems.append(f"case when {present} and not {known} then {reason} end")
    if column.type == "object":
        problems.append(f"json_problem({name})")
    if column.type == "json":
        problems.append(f"""json_problem('{{"value":' || {name} || '}}')""")
    return problems


def _beyond_bounds(column: Column) -> list[str]:
    name = f'"{column.name}"'
    number = f"try_cast({name} as decimal(38, 9))"
    bounds = (("<", "less", column.least), (">", "more", column.most))
    return [
        f"case when {number} {sign} {bound} then '''' || left({name}, 60) || ''' is {word} than"
        f" {bound}' end"
        for sign, word, bound in bounds
        if bound is not None
    ]


def _too_long(column: Column) -> list[str]:
    name, most = f'"{column.name}"', column.longest
    if most is None:
        return []
    is_long = f"strlen({name}) > {most}"
    if column.type != "list":
        return [f"case when {is_long} then 'is longer than {most} bytes' end"]
    values = f"from_json(listed({name}), '[\"VARCHAR\"]')"
    # Cases are judged in their order: a text that is no list is taken apart nowhere.
    return [
        f"case when {name} is null or not {is_long} or list_problem({name}) is not null then null"
        f" when len(list_filter({values}, lambda value: strlen(value) > {most})) > 0"
        f" then 'holds a value that is longer than {most} bytes' end"
    ]


def _instant(name: str) -> str:
    """Returns the name of the instant that the text of a column means."""
    return f'"instant of {name}"'


def _field(column: Column, header: list[str] | None) -> str:
    """SQL of `"name":value`, null where the row does not set the column."""
    name = f'"{column.name}"'
    value = f"coalesce({_json_value(column)}, 'null')"
    return f"case when {_is_set(column, header)} then '{name}:' || {value} end"


def _is_set(column: Column, header: list[str] | None) -> str:
    """SQL: whether a row sets the column."""
    if header is not None and column.name not in header:
        return "false"
    if column.keep:
        return f'"{column.name}" is not null'
    return "true" if header is not None else f"list_contains(keys, '{column.name}')"


def _json_value(column: Column) -> str:
    name = f'"{column.name}"'
    if column.is_json:
        return name
    if column.type == "integer":
        return f"try_cast({name} as bigint)::varchar"
    if column.type == "list":
        return f"listed({name})"
    if column.type == "boolean":
        return f"(lower({name}) in ('true', '1'))::varchar"
    if column.type == "instant":
        text = f"strftime({_instant(column.name)} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
        return f"to_json({text})::varchar"
    return f"to_json({name})::varchar"
