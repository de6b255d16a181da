"""The test image's recipe; the image itself is tried by booting it."""

import subprocess
from pathlib import Path

import pytest

from deploy.images import guest_files
from deploy.images.build_mini import RECIPE
from deploy.images.tools import output


def finished(target: Path) -> Path:
    """An OUTDIR as a build leaves it."""
    for name in RECIPE.products:
        (target / name).touch()
    (target / RECIPE.stamp_file).write_text(f"{RECIPE.stamp()}\nlibc6.deb\n")
    return target


def test_finished_build_is_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert RECIPE.main([str(finished(tmp_path))]) == 0
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*RECIPE.products, RECIPE.stamp_file])
def test_missing_file_means_building(tmp_path: Path, name: str) -> None:
    (finished(tmp_path) / name).unlink()
    assert not RECIPE.is_current(tmp_path)


def test_other_recipe_means_building(tmp_path: Path) -> None:
    (finished(tmp_path) / RECIPE.stamp_file).write_text("0" * 64)
    assert not RECIPE.is_current(tmp_path)


def test_wrong_usage() -> None:
    assert RECIPE.main([]) == 2


def test_drivers_come_after_what_they_need(tmp_path: Path) -> None:
    for name in ("virtio", "virtio_ring", "virtio_blk"):
        (tmp_path / f"{name}.ko").touch()
    (tmp_path / "modules.dep").write_text(
        "virtio.ko:\nvirtio_ring.ko: virtio.ko\nvirtio_blk.ko: virtio_ring.ko virtio.ko\n"
    )
    target = tmp_path / "guest"
    guest_files.install_drivers(tmp_path, target)
    assert (target / "load").read_text().split() == ["virtio.ko", "virtio_ring.ko", "virtio_blk.ko"]


def test_scripts_of_the_guest_are_valid_and_executable() -> None:
    guest = guest_files.RECIPE / "guest"
    scripts = [
        guest_files.RECIPE / "initrd-init",
        guest / "etc/init.d/rcS",
        guest / "etc/acpi/PWRF/00000080",
        guest / "usr/lib/mini/load-modules",
        guest / "usr/share/udhcpc/default.script",
    ]
    for script in scripts:
        assert script.stat().st_mode & 0o111, script
    for script in [*scripts, guest / "usr/lib/mini/steps"]:
        subprocess.run(["sh", "-n", script], check=True, timeout=10)


def test_no_password_opens_the_guest() -> None:
    shadow = (guest_files.RECIPE / "guest/etc/shadow").read_text()
    assert shadow.startswith("root:*:")
    steps = (guest_files.RECIPE / "guest/usr/lib/mini/steps").read_text()
    assert "dropbear -s -g" in steps


def test_output_of_a_failing_program() -> None:
    assert output("false") == ""
