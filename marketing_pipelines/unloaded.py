"""Files of the domains that define something of Dagster and are not loaded.

`dg scaffold defs` writes such files. Found by reading the source: importing every module would
make the definitions slow to load.
"""

import ast
from pathlib import Path

DECORATORS = {
    "asset",
    "asset_check",
    "asset_sensor",
    "definitions",
    "graph_asset",
    "graph_multi_asset",
    "job",
    "multi_asset",
    "multi_asset_check",
    "multi_asset_sensor",
    "observable_source_asset",
    "run_failure_sensor",
    "run_status_sensor",
    "schedule",
    "sensor",
}


def unloaded(domains: Path, rooms: tuple[str, ...]) -> list[str]:
    """The files below the folder of the domains, relative to it, in order.

    Args:
        rooms: Names of the modules of a domain that are loaded.
    """
    loaded = {path for room in rooms for path in domains.glob(f"*/{room}.py")}
    modules = (path for path in domains.rglob("*.py") if path not in loaded)
    found = [path for path in modules if _defines(path.read_text(encoding="utf-8"))]
    return sorted(str(path.relative_to(domains)) for path in [*found, *domains.rglob("defs.yaml")])


def _defines(source: str) -> bool:
    """Whether a function on the top level has one of Dagster's decorators."""
    if "dagster" not in source:
        return False
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return False
    return any(
        _name(decorator) in DECORATORS
        for statement in statements
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in statement.decorator_list
    )


def _name(decorator: ast.expr) -> str:
    """`asset` of `@asset`, `@dg.asset` and `@dg.asset(...)`."""
    if isinstance(decorator, ast.Call):
        return _name(decorator.func)
    return decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
