from __future__ import annotations

from pathlib import Path

import pytest

from singleton_service.background.config.data_dir import default_data_dir, project_root


@pytest.mark.parametrize("marker", ["pyproject.toml", ".env", ".git"])
def test_the_project_is_the_nearest_folder_with_a_marker(tmp_path: Path, marker: str) -> None:
    (tmp_path / marker).touch()
    deep = tmp_path / "src" / "app"
    deep.mkdir(parents=True)

    assert project_root(deep) == tmp_path.resolve()
    assert project_root(tmp_path) == tmp_path.resolve()


def test_the_data_dir_is_the_same_from_every_folder_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "src")

    found = default_data_dir(tmp_path)

    assert found.parent == Path("/data/singleton-service")
    assert found.name.startswith(tmp_path.name[:32].strip("-.") + "-")
    assert default_data_dir(tmp_path / "src") == default_data_dir(tmp_path / "link") == found


def test_projects_of_one_name_keep_apart(tmp_path: Path) -> None:
    folders = [tmp_path / side / "shop" for side in ("left", "right")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").touch()

    assert default_data_dir(folders[0]) != default_data_dir(folders[1])


def test_without_xdg_it_lies_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_DATA_HOME", unusable)

        assert default_data_dir(tmp_path).parent == Path("/home/somebody/.local/share/singleton-service")


def test_a_strange_folder_name_becomes_a_plain_one(tmp_path: Path) -> None:
    folder = tmp_path / "größe & 'quotes' $(x)"
    folder.mkdir()
    (folder / ".env").touch()

    assert default_data_dir(folder).name.isascii()
    assert " " not in default_data_dir(folder).name
    assert default_data_dir(Path("/")).name
