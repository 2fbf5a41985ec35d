"""The command `vectron`: one file per group of commands.

Owns options, output (tables for people, one JSON document with `--json`), exit codes and nothing else: what a command
does is a call of the client, or the start of a node. Modules here import the rest inside the commands, so that
`vectron --help` starts without numpy, hnswlib and Textual.
"""
