"""Pages of docs/ whose examples are run. Such a page begins with a comment that says how its gateway is
configured:

    <!-- tested
    auth.signup: verify
    -->

Its ```sh blocks are run in order in one bash with -euo pipefail. A ```json or ```text block right behind one is
what that one prints, where … stands for anything: in text, for a value as "…", for further members as "…": "…".
"""
import json
import re
import subprocess
from dataclasses import dataclass, field

import yaml

MARK = "\x1e"  # between what blocks print


@dataclass
class Block:
    line: int
    script: str
    prints: list = field(default_factory=list)  # (language, text), at most one


@dataclass
class Page:
    path: object
    config: dict
    blocks: list


def read(path):
    """The page, or None when it is not one whose examples are run."""
    text = path.read_text(encoding="utf-8")
    head = re.match(r"<!-- tested\n(.*?)-->\n", text, re.S)
    return head and Page(path, yaml.safe_load(head[1]) or {}, blocks(text))


def blocks(text):
    found = []
    for m in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.S | re.M):
        line = text.count("\n", 0, m.start()) + 2
        if m[1] == "sh":
            found.append(Block(line, m[2]))
            end = m.end()
        elif found and m[1] in ("json", "text") and not text[end:m.start()].strip() and not found[-1].prints:
            found[-1].prints.append((m[1], m[2]))
    return found


def run(page, cwd, env, timeout=120):
    """Runs all blocks; raises an AssertionError that names the line of the page."""
    script = "set -euo pipefail\n" + "".join(f"printf '{MARK}'\n{b.script}\n" for b in page.blocks)
    p = subprocess.run(["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout,
                       stdin=subprocess.DEVNULL)
    printed = p.stdout.split(MARK)[1:]
    assert p.returncode != 0 or len(printed) == len(page.blocks), \
        f"{page.path.name}: ended before line {page.blocks[len(printed)].line}"
    for block, out in zip(page.blocks, printed):
        where = f"{page.path.name}:{block.line}"
        ended = p.returncode != 0 and out is printed[-1]
        assert not ended, f"{where}: exit status {p.returncode}\n{block.script}\n{out}\n{p.stderr}"
        for language, want in block.prints:
            check(language, want, out, where)


def check(language, want, out, where):
    if language == "json":
        fault = differs(json.loads(want), json.loads(out))
    else:
        fault = None if like(want.strip(), out.strip()) else "other text"
    assert not fault, f"{where}: {fault}\nthe page says:\n{want}\nit prints:\n{out}"


def like(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), text, re.S) is not None


def differs(want, got, at="$"):
    """Why `got` is not what the page says, or None."""
    if want == "…":
        return None
    if isinstance(want, dict) and isinstance(got, dict):
        return members_differ(want, got, at)
    if isinstance(want, list) and isinstance(got, list):
        if "…" in want:
            want = want[:want.index("…")]
            got = got[:len(want)]
        if len(want) != len(got):
            return f"{at}: {len(got)} elements"
        return next((d for i, (w, g) in enumerate(zip(want, got)) if (d := differs(w, g, f"{at}[{i}]"))), None)
    if isinstance(want, str) and isinstance(got, str):
        return None if like(want, got) else f"{at}: {got!r}"
    return None if want == got and type(want) is type(got) else f"{at}: {got!r}"


def members_differ(want, got, at):
    names = set(want) - {"…"}
    if names - set(got) or ("…" not in want and set(got) - names):
        return f"{at}: has the members {sorted(got)}"
    return next((d for n in want if n != "…" and (d := differs(want[n], got[n], f"{at}.{n}"))), None)
