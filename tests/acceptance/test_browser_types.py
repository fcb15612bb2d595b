"""The types of the browser module, by TypeScript itself from the npm registry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from npm_packages import packed

from afterword.asgi.browser import module_source

TYPES = Path(__file__).parents[2] / "src" / "afterword" / "asgi" / "browser" / "afterword.d.ts"
PAGE = """
import { AfterwordFeedback, track, type TrackOutcome } from "./afterword.js";

const element = document.createElement("afterword-feedback");
const same: AfterwordFeedback = element;
same.token = "aw1.k1.p.m";
same.token = null;
same.dataId = undefined;
const where: string = same.endpoint;
const id: string | null = same.dataId;

document.addEventListener("afterword:sent", ({ detail }) => {
  const status: number = detail.status;
  const pending: false = detail.pending;
  const said: [string, string | null] = [detail.type, detail.dataId];
});
element.addEventListener("afterword:restored", (event) => Object.keys(event.detail.state));

export async function saved(): Promise<TrackOutcome> {
  await track("t", "stars", 4);
  await track("t", "action", ["saved"], { dataId: "d", unset: true, target: element });
  return track("t", "rating", null, { comment: "", metadata: { a: 1 }, endpoint: "/f/", debug: true });
}
"""
#: Each is a mistake that the types are there for.
WRONG = (
    'track("t", "rating");',
    'track("t", "rating", undefined);',
    'track("t", "rating", "good", { dataID: "d" });',
    'document.addEventListener("afterword:error", (event) => event.detail.state);',
    'document.createElement("afterword-feedback").token = 5;',
)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed("typescript@5", tmp_path_factory.mktemp("typescript")) / "lib" / "tsc.js"


def told(compiler: Path, folder: Path, page: str) -> list[str]:
    """What TypeScript has against a page beside the module."""
    (folder / "afterword.d.ts").write_text(TYPES.read_text("utf-8"), "utf-8")
    (folder / "page.ts").write_text(page, "utf-8")
    node = shutil.which("node")
    assert node is not None, "npm came without node"
    command = [node, str(compiler), "--noEmit", "--strict", "--target", "es2022"]
    command += ["--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom"]
    done = subprocess.run(
        [*command, "page.ts"], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def test_a_page_in_typescript_compiles(compiler: Path, tmp_path: Path) -> None:
    assert told(compiler, tmp_path, PAGE) == []


def test_every_mistake_is_found(compiler: Path, tmp_path: Path) -> None:
    page = PAGE + "\n".join(WRONG)
    first = PAGE.count("\n") + 1
    found = told(compiler, tmp_path, page)
    lines = {int(match[1]) for each in found if (match := re.match(r"page\.ts\((\d+),", each))}
    assert lines == set(range(first, first + len(WRONG))), found


def test_what_the_types_name_is_what_the_module_exports() -> None:
    exported = r"^export (?:async )?(?:function|class) (\w+)"
    ours = set(re.findall(exported, module_source(), re.MULTILINE))
    named = set(re.findall(exported, TYPES.read_text("utf-8"), re.MULTILINE))
    assert named == ours == {"track", "AfterwordFeedback"}
