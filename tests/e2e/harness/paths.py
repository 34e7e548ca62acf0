"""Where the things under test are."""
import os
import shutil

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
# the directory of gatewayd and gwctl; GW_BIN=build/asan/bin runs the suite on another variant
BIN = os.path.join(ROOT, os.environ.get("GW_BIN", "bin"))
VARIANT = os.environ.get("GW_VARIANT", "release")
GATEWAYD = os.path.join(BIN, "gatewayd")
GWCTL = os.path.join(BIN, "gwctl")
SAMPLENODE = os.path.join(ROOT, "build", VARIANT, "samplenode")
RQLITED = os.path.join(ROOT, "build", "tools", "rqlited")
PROTO = os.path.join(ROOT, "schema", "proto")


def built(name):
    """A program or library that make puts into the variant's build directory."""
    return os.path.join(ROOT, "build", VARIANT, name)


def program(path):
    """The path, or a failure that says what is missing."""
    found = shutil.which(path)
    assert found, f"{path} is missing: build it, or run `make deps`"
    return found
