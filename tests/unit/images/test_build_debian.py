"""What the Debian image is made from."""

from __future__ import annotations

import re

import yaml

from deploy.images import packages
from deploy.images.build_debian import OVERLAY, RECIPE, SUITE

CLOUD = OVERLAY / "etc/cloud"


def test_only_debian_s_own_archives_are_used() -> None:
    """What else this machine's apt knows stays out of the image; none known is no error."""
    for line in packages.sources(SUITE):
        assert re.fullmatch(rf"deb \S+ {SUITE}(-updates|-security)? [a-z-]+", line), line


def test_the_guest_chooses_one_source_before_cloud_init_starts() -> None:
    """Wire notes 5.5: a drive of layout 1 leaves it to the metadata service.

    ds-identify reads lines, not YAML: the list must be on one.
    """
    text = (CLOUD / "cloud.cfg.d/90_undercast.cfg").read_text()
    assert "\ndatasource_list: [ConfigDrive, Ec2, None]\n" in text
    assert yaml.safe_load(text)["datasource"]["Ec2"]["strict_id"] is False
    chooser = (CLOUD / "ds-identify.cfg").read_text().splitlines()
    assert "policy: search,found=first,maybe=all,notfound=enabled" in chooser
    assert "ci.datasource.ec2.strict_id: false" in chooser


def test_everything_that_lies_over_the_packages_is_in_the_stamp() -> None:
    files = set(RECIPE._files())
    assert {path for path in OVERLAY.rglob("*") if path.is_file()} <= files
