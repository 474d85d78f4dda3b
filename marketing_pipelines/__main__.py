"""`python -m marketing_pipelines`: the console script, for processes that start others."""

from marketing_pipelines.cli.main import main

main()
