#!/usr/bin/env python3
"""Runs the commands of a results page and puts their output below them.

    docs/results/fill_in.py docs/results/NAME/README.md

A block of the page looks like one of these; what stands between the fences, behind the command, is replaced:

    <!-- $ loglog fit --law isoflop --input ... -->
    ```text
    ...
    ```

    ```console
    $ loglog outliers runs/tiny
    ...
    ```

Commands run in the root of the project, one after the other, with build/release/bin on the PATH. The page is written
only when all of them have ended well.
"""
import os
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"(?P<head><!-- \$ (?P<hidden>.*?) -->\n```text\n|```console\n\$ (?P<shown>.*?)\n)(?P<output>.*?)(?P<end>```\n)", re.DOTALL)


def output_of(command: str, root: pathlib.Path) -> str:
    print("$", command, file=sys.stderr)
    environment = dict(os.environ, PATH=f"{root}/build/release/bin:{os.environ['PATH']}", NO_COLOR="1")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=root, env=environment,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"fill_in: exit {done.returncode}: {command}")
    return done.stdout.rstrip() + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    page = pathlib.Path(sys.argv[1])
    root = pathlib.Path(__file__).resolve().parents[2]
    text = page.read_text(encoding="utf-8")
    filled, count = BLOCK.subn(lambda m: m["head"] + output_of(m["hidden"] or m["shown"], root) + m["end"], text)
    if count == 0:
        sys.exit(f"fill_in: no command in {page}")
    page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
