"""Places of this project's own files, in a checkout and in an installed wheel alike.

Files that only one module reads are next to it and are found as package resources. `dagster.yaml`
and `workspace.yaml` lie at the top of the checkout, where Dagster's own commands look for them; the
build copies them into the package.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTANCE_FILE = "dagster.yaml"
WORKSPACE_FILE = "workspace.yaml"
# The name of the code in workspace.yaml and pyproject.toml.
CODE_LOCATION = "marketing_pipelines"


def checkout() -> Path | None:
    """The top folder of the sources; None where a wheel is installed."""
    folder = PACKAGE.parent
    return folder if (folder / WORKSPACE_FILE).is_file() else None


def configuration_file(name: str) -> Path:
    """`dagster.yaml` or `workspace.yaml` of this release."""
    return (checkout() or PACKAGE) / name
