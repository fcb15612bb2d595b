"""Starlette's own test suite, of the version installed here, with our middleware around each app.

A long test: it gets the suite and what that needs from the package registry.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

PLUGIN = Path(__file__).parent / "starlette_suite"
SRC = Path(__file__).parents[2] / "src"
#: They hold the exposed headers of a CORS response to be exactly those that they configured.
MERGED = {
    "test_cors_allow_all[asyncio]",
    "test_cors_allow_all[trio]",
    "test_cors_allow_all_except_credentials[asyncio]",
    "test_cors_allow_all_except_credentials[trio]",
}


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"pip {' '.join(arguments)} failed; this test needs the package registry once")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starlette")
    version = importlib.metadata.version("starlette")
    source = ("download", "--no-deps", "--no-build-isolation", "--no-binary", "starlette")
    pip(*source, f"starlette=={version}", "-d", str(folder))
    pip("install", "--target", str(folder / "needs"), "trio", "python-multipart")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.name == f"starlette-{version}")


def outcomes(suite: Path, plugin: bool, generating: bool) -> dict[str, str]:
    """What became of each test, by its name."""
    report = suite / f"report-{plugin}-{generating}.xml"
    paths = [str(suite.parent / "needs"), str(PLUGIN), str(SRC)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GENERATING": ""}
    if generating:
        environment["GENERATING"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    command += ["--ignore", "tests/middleware/test_opentelemetry.py", "--junitxml", str(report)]
    command += ["-p", "wrapped_apps"] if plugin else []
    subprocess.run(command, cwd=suite, env=environment, capture_output=True, check=False)
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest just wrote it
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        found[f"{case.get('classname')}.{case.get('name')}"] = "passed" if bad is None else bad.tag
    return found


@pytest.mark.long
def test_the_suite_ends_the_same_with_our_middleware_around_each_app(suite: Path) -> None:
    bare = outcomes(suite, plugin=False, generating=False)
    assert sum(outcome == "passed" for outcome in bare.values()) > 1000
    assert outcomes(suite, plugin=True, generating=False) == bare
    generating = outcomes(suite, plugin=True, generating=True)
    changed = {name for name in bare if generating[name] != bare[name]}
    assert {name.rpartition(".")[2] for name in changed} == MERGED
