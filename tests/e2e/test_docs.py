"""The examples of docs/ do what the pages say: every page that is marked, against a gateway of its own."""
import os
import pathlib
import shutil

import pytest

from harness import pages
from harness.gateway import ADMIN_EMAIL
from harness.paths import GATEWAYD, GWCTL, ROOT, program

PAGES = [p for path in sorted(pathlib.Path(ROOT, "docs").rglob("*.md")) if (p := pages.read(path))]


def shell_of(gw, authority):
    """What the pages say is there: see docs/auth.md."""
    shutil.copy(gw.directory / "admin-password", gw.directory / "admin.password")
    bin_ = gw.directory / "bin"
    bin_.mkdir()
    for path in (GATEWAYD, GWCTL):
        (bin_ / os.path.basename(path)).symlink_to(os.path.abspath(program(path)))
    r = gw.replicas[0]
    return {**os.environ, **gw.env, "PATH": f"{bin_}:{os.environ['PATH']}", "GATEWAY": r.http, "ADMIN": r.admin,
            "GRPC": r.grpc, "ADMIN_EMAIL": ADMIN_EMAIL, "CURL_CA_BUNDLE": str(authority.cert), "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path.stem)
def test_examples(gateway, authority, page):
    cert, key = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    config = {"auth.issuer": "https://gateway.example.com", **page.config}
    if config.pop("tls", True):
        config.update({"tls.cert": str(cert), "tls.key": str(key), "tls.client_ca": str(authority.cert)})
        gw = gateway(config=config, ca=authority.cert)
    else:
        gw = gateway(config=config)
    for file, made in zip(("ci.pem", "ci.key"), authority.issue("ci", "DNS:ci.example.com")):
        shutil.copy(made, gw.directory / file)
    pages.run(page, gw.directory, shell_of(gw, authority))


def test_there_are_pages():
    assert "auth" in [p.path.stem for p in PAGES]


@pytest.mark.parametrize("want, got, same", [
    ({"a": "…", "b": 1}, {"a": [1], "b": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, False),
    ({"a": 1, "…": "…"}, {"a": 1, "b": 2}, True),
    ({"a": 1, "…": "…"}, {"b": 2}, False),
    ({"a": "x…z"}, {"a": "xyz"}, True),
    ({"a": "x…z"}, {"a": "xyz1"}, False),
    ([1, "…"], [1, 2, 3], True),
    ([1, "…"], [2], False),
    ([1], [1, 2], False),
    (True, 1, False),
    (None, None, True),
])
def test_what_a_page_says_is_compared(want, got, same):
    assert (pages.differs(want, got) is None) == same


def test_blocks_and_what_they_print(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- tested\nauth.signup: open\n-->\n# T\n```sh\nx=1\necho \"{\\\"x\\\":$x}\"\n```\n```json\n{\"x\": 1}\n```\n"
                    "words\n```sh\necho $x two\n```\n\n```text\n1 …\n```\n```json\n{\"of\":\"nothing\"}\n```\n")
    page = pages.read(path)
    assert page.config == {"auth.signup": "open"} and [b.line for b in page.blocks] == [6, 14]
    pages.run(page, tmp_path, os.environ)
    for script, why in (("false", "page.md:14: exit status 1"), ("echo 2", "other text"), ("echo $unset", "unbound"),
                        ("false | cat", "exit status 1")):
        page.blocks[1].script = script + "\n"
        with pytest.raises(AssertionError, match=why):
            pages.run(page, tmp_path, os.environ)
    page.blocks[0].script = "exit 0\n"
    with pytest.raises(AssertionError, match="ended before line 14"):
        pages.run(page, tmp_path, os.environ)
    (tmp_path / "other.md").write_text("```sh\nfalse\n```\n")
    assert pages.read(tmp_path / "other.md") is None
