"""The operator's command, called as an operator calls it: the lab uses no back door."""

from __future__ import annotations

import json
from typing import Any

from deploy.lab.names import PYTHON, Lab
from deploy.lab.programs import LabError, attempt, shown

_TIMEOUT = 180.0


class Operator:
    """``undercast`` with the settings, and in the network, of a lab's controller."""

    def __init__(self, lab: Lab) -> None:
        self._prefix = [
            "ip", "netns", "exec", lab.namespace("ctl"),
            "env", f"UNDERCAST_CONFIG={lab.settings_file}",
            str(PYTHON), "-m", "deploy.cli.main",
        ]  # fmt: skip
        self._log = lab.log / "postgres.log"

    def __call__(self, *words: str, stdin: str = "") -> Any:
        """Run a command and return what it prints as JSON. Raises LabError when it fails."""
        argv = [*self._prefix, *words, "--format", "json"]
        done = attempt(*argv, timeout=_TIMEOUT, stdin=stdin)
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise LabError(f"undercast {shown(words)}: {said[-2000:]}", self._log)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise LabError(f"undercast {shown(words)} printed no JSON: {done.stdout!r}") from None
