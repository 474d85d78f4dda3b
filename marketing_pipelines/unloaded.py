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
CALLS = {
    "AssetChecksDefinition",
    "AssetSensorDefinition",
    "AssetSpec",
    "AssetsDefinition",
    "AutomationConditionSensorDefinition",
    "Definitions",
    "JobDefinition",
    "MultiAssetSensorDefinition",
    "RunStatusSensorDefinition",
    "ScheduleDefinition",
    "SensorDefinition",
    "SourceAsset",
    "build_schedule_from_partitioned_job",
    "define_asset_job",
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
    """Returns true if the top level has a decorated function or assigns a definition."""
    if "dagster" not in source:
        return False
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return False
    return any(_is_definition(statement) for statement in statements)


def _is_definition(statement: ast.stmt) -> bool:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return any(_name(decorator) in DECORATORS for decorator in statement.decorator_list)
        case ast.Assign(value=ast.expr() as value) | ast.AnnAssign(value=ast.expr() as value):
            calls = (node for node in ast.walk(value) if isinstance(node, ast.Call))
            return any(_name(call) in CALLS for call in calls)
    return False


def _name(expression: ast.expr) -> str:
    """`asset` of `asset`, `dg.asset` and `dg.asset(...)`."""
    match expression:
        case ast.Call(func=function):
            return _name(function)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
