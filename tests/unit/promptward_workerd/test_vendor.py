"""What goes into the Worker."""

from __future__ import annotations

import importlib
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

import promptward
from promptward_workerd import vendor

SOURCE = Path(__file__).parents[3] / "cloudflare-workers" / "src"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Third-party packages, as pip lays them out."""
    for name, text in {
        "yaml/__init__.py": "pure = True",
        "yaml/notes.pyi": "",
        "workers/workflows.js": "export {}",
        "thing-1.0.dist-info/METADATA": "",
        "tzdata/__init__.py": "",
        "tzdata/zoneinfo/UTC": "TZif",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def contents(site: Path, policy: Path | None = None) -> dict[str, bytes]:
    return {f.name: f.content for f in vendor.collect(SOURCE, site, policy)}


def test_the_entry_module_comes_first(site: Path) -> None:
    assert vendor.collect(SOURCE, site)[0].name == "entry.py"


def test_the_core_is_taken_as_it_is(site: Path) -> None:
    files = contents(site)
    core = Path(promptward.__file__).parent
    for name in ("engine/core.py", "ports.py", "ledger/book.py"):
        assert files[f"python_modules/promptward/{name}"] == (core / name).read_bytes()


def test_what_no_worker_runs_is_left_out(site: Path) -> None:
    names = set(contents(site))
    for part in ("/cli/", "/testing/", ".dist-info", "__pycache__", "promptward_ports", ".pyi"):
        assert not [name for name in names if part in name]
    assert {"python_modules/yaml/__init__.py", "python_modules/workers/workflows.js"} <= names


def test_time_zones_are_one_importable_archive_with_the_same_bytes_each_time(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = contents(site)
    archive = files["python_modules/tzdata.zip"]
    assert archive == contents(site)["python_modules/tzdata.zip"]
    assert not [name for name in files if name.startswith("python_modules/tzdata/")]
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        assert opened.read("tzdata/zoneinfo/UTC") == b"TZif"
    (tmp_path / "tzdata.zip").write_bytes(archive)
    monkeypatch.syspath_prepend(str(tmp_path / "tzdata.zip"))
    monkeypatch.delitem(sys.modules, "tzdata", raising=False)
    module = importlib.import_module("tzdata")
    assert "tzdata.zip" in str(module.__file__)
    monkeypatch.delitem(sys.modules, "tzdata")


def test_a_policy_is_bundled_as_a_package_of_its_own(site: Path, tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text("kind: AISecurityPolicy")
    files = contents(site, policy)
    bundled = "python_modules/promptward_bundled_policy/"
    assert files[f"{bundled}policy.yaml"] == b"kind: AISecurityPolicy"
    assert files[f"{bundled}__init__.py"] == b""


def test_the_upload_is_measured_and_written(site: Path, tmp_path: Path) -> None:
    files = vendor.collect(SOURCE, site)
    plain, compressed = vendor.upload_bytes(files)
    assert plain == sum(len(f.content) for f in files)
    assert 0 < compressed < vendor.SIZE_BUDGET_BYTES
    out = tmp_path / "out"
    vendor.write(files, out)
    assert (out / "python_modules/promptward/ports.py").is_file()
