"""The workerd configuration."""

from __future__ import annotations

from pathlib import Path

from promptward_workerd.config import COMPATIBILITY_DATE, WorkerConfig, render, write
from promptward_workerd.toolchain import PROJECT
from promptward_workerd.wrangler import read_settings


def test_modules_bindings_and_variables_are_quoted(tmp_path: Path) -> None:
    text = render(
        WorkerConfig(
            tmp_path,
            ("entry.py", "package/border.mjs", "python_modules/a/data.json"),
            tmp_path / "state",
            {"UPSTREAM": 'http://a/"b"'},
        )
    )
    assert '(name = "entry.py", pythonModule = embed "entry.py")' in text
    assert 'esModule = embed "package/border.mjs"' in text
    assert 'data = embed "python_modules/a/data.json"' in text
    assert r'text = "http://a/\"b\""' in text
    assert '(name = "POLICIES", kvNamespace = "kv")' in text
    assert "ORIGIN" not in text


def test_without_kv_there_is_no_binding_and_with_an_origin_there_is_one(tmp_path: Path) -> None:
    text = render(
        WorkerConfig(tmp_path, ("entry.py",), tmp_path / "s", has_kv=False, origin="127.0.0.1:80")
    )
    assert "POLICIES" not in text
    assert '(name = "ORIGIN", service = "origin")' in text
    assert '(address = "127.0.0.1:80", http = ())' in text


def test_variables_may_come_from_the_environment_of_workerd(tmp_path: Path) -> None:
    text = render(WorkerConfig(tmp_path, ("entry.py",), tmp_path / "s", environment=("UPSTREAM",)))
    assert '(name = "UPSTREAM", fromEnvironment = "UPSTREAM")' in text


def test_origins_may_speak_https(tmp_path: Path) -> None:
    text = render(WorkerConfig(tmp_path, ("entry.py",), tmp_path / "s"))
    assert "tlsOptions = (trustBrowserCas = true)" in text


def test_state_directories_are_made(tmp_path: Path) -> None:
    config = WorkerConfig(tmp_path, ("entry.py",), tmp_path / "state")
    assert write(config).read_text() == render(config)
    assert config.kv_dir.is_dir()
    assert config.objects_dir.is_dir()


def test_production_runs_the_same_python_with_the_same_bindings(tmp_path: Path) -> None:
    settings = read_settings(PROJECT / "wrangler.jsonc")
    assert settings["compatibility_date"] == COMPATIBILITY_DATE
    text = render(WorkerConfig(tmp_path, ("entry.py",), tmp_path / "state"))
    objects = settings["durable_objects"]
    assert isinstance(objects, dict)
    for binding in objects["bindings"]:
        wanted = f'(name = "{binding["name"]}", durableObjectNamespace = "{binding["class_name"]}")'
        assert wanted in text


def test_production_takes_the_javascript_too() -> None:
    (rule,) = read_settings(PROJECT / "wrangler.jsonc")["rules"]  # type: ignore[misc]
    source = PROJECT / "src"
    scripts = {path for path in source.rglob("*") if path.suffix in {".js", ".mjs"}}
    assert rule["type"] == "ESModule"
    assert scripts == {path for glob in rule["globs"] for path in source.glob(glob)} != set()
