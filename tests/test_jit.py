# SPDX-License-Identifier: Apache-2.0
import pytest

from golden.jit import _void_stale_kernels


@pytest.fixture
def folder(tmp_path):
    """Make two folders of sources, one of them with a kernel in its cache."""
    for name in ("kernels", "models"):
        (tmp_path / name / "__pycache__").mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("x = 1")
    void(tmp_path)
    (tmp_path / "kernels" / "__pycache__" / "a.nbi").write_text("code")
    return tmp_path


def void(folder):
    _void_stale_kernels(folder / "kernels", also=folder / "models")
    return not (folder / "kernels" / "__pycache__" / "a.nbi").exists()


def test_kernels_stay_cached_while_no_source_changes(folder):
    assert not void(folder)
    (folder / "kernels" / "notes.txt").write_text("x")
    assert not void(folder)


@pytest.mark.parametrize("where", ["kernels", "models"])
def test_kernels_are_void_after_any_source_changes(folder, where):
    (folder / where / "a.py").write_text("x = 2")
    assert void(folder)


@pytest.mark.parametrize("where", ["kernels", "models"])
def test_kernels_are_void_after_a_source_is_added(folder, where):
    (folder / where / "b.py").write_text("")
    assert void(folder)
