"""The commands of `marketing-pipelines`: thin; the work is in the packages below."""
