"""Collect the files that make up the Worker, and report how large the upload is.

The core is taken as it is from where `promptward` is installed: no fork, no copy in the
repository. Left out: the command line and the test support, which no Worker runs.

Layout, the one `wrangler` and `pywrangler` expect: the entry module at the root, dependencies
under `python_modules/`.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import promptward

SIZE_BUDGET_BYTES = 1024 * 1024  # gzip; ours. Cloudflare's own limit is 3 MB (free), 10 MB (paid)
_LEFT_OUT_OF_CORE = ("cli", "testing")
_TZDATA = "python_modules/tzdata/"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
_POLICY_PACKAGE = "promptward_bundled_policy"


@dataclass(frozen=True, slots=True)
class WorkerFile:
    """One module of the Worker.

    Attributes:
        name: path inside the Worker, for example `python_modules/promptward/engine.py`.
        content: bytes.
    """

    name: str
    content: bytes

    @property
    def is_python(self) -> bool:
        return self.name.endswith(".py")


def _tree(root: Path, under: str, left_out: tuple[str, ...] = ()) -> Iterator[WorkerFile]:
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        skipped = "__pycache__" in relative.parts or relative.parts[0] in left_out
        if path.is_file() and not skipped and path.suffix not in {".pyc", ".pyi", ".typed"}:
            yield WorkerFile(f"{under}/{relative.as_posix()}", path.read_bytes())


def _third_party(site: Path) -> Iterator[WorkerFile]:
    for file in _tree(site, "python_modules"):
        if ".dist-info/" not in file.name and not file.name.startswith(_TZDATA):
            yield file


def _zone_archive(site: Path) -> WorkerFile:
    """The time zone database as one importable archive; the same bytes for the same database."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _tree(site / "tzdata", "tzdata"):
            entry = zipfile.ZipInfo(file.name, date_time=_ZIP_EPOCH)
            archive.writestr(entry, file.content, zipfile.ZIP_DEFLATED, compresslevel=9)
    return WorkerFile("python_modules/tzdata.zip", buffer.getvalue())


def collect(
    source: Path, site: Path, policy: Path | None = None, entry: Path | None = None
) -> list[WorkerFile]:
    """Every file of the Worker, entry module first.

    Args:
        source: the folder with `entry.py` and `promptward_worker/`.
        site: vendored third-party packages (`toolchain.Toolchain.site`).
        policy: policy file to bundle, or None to rely on KV alone.
        entry: another entry module, for tests and benchmarks.
    """
    core = Path(promptward.__file__).parent
    files = [WorkerFile("entry.py", (entry or source / "entry.py").read_bytes())]
    files += _tree(source / "promptward_worker", "promptward_worker")
    files += _third_party(site)
    files.append(_zone_archive(site))
    files += _tree(core, "python_modules/promptward", _LEFT_OUT_OF_CORE)
    if policy is not None:
        package = f"python_modules/{_POLICY_PACKAGE}"
        files.append(WorkerFile(f"{package}/__init__.py", b""))
        files.append(WorkerFile(f"{package}/policy.yaml", policy.read_bytes()))
    return files


def upload_bytes(files: list[WorkerFile]) -> tuple[int, int]:
    """(plain, gzip) size of the upload in bytes, measured as `wrangler deploy` prints it."""
    joined = b"".join(file.content for file in files)
    return len(joined), len(gzip.compress(joined))


def write(files: list[WorkerFile], out: Path) -> None:
    """Write the files below `out`."""
    for file in files:
        target = out / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
