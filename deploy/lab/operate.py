"""The operator's command, called as an operator calls it: the lab uses no back door.

Starting Python and loading the database's libraries takes most of a short command's time. Therefore
one process inside the controller's network namespace runs all commands of one ``up``: it reads a
command a line and answers with a line, both JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from typing import Any, Self

from deploy.lab import environment
from deploy.lab.names import PYTHON, Lab
from deploy.lab.programs import LabError, shown

_END_SECONDS = 10.0


class Operator:
    """``undercast`` with the settings, and in the network, of a lab's controller."""

    def __init__(self, lab: Lab) -> None:
        self._log = lab.log / "postgres.log"
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", lab.namespace("ctl"),
                str(PYTHON), "-m", "deploy.lab", "operate",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment.clean(lab) | {"UNDERCAST_CONFIG": str(lab.settings_file)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=_END_SECONDS)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.communicate()

    def __call__(self, *words: str, stdin: str = "") -> Any:
        """Run a command and return what it prints as JSON. Raises LabError when it fails.

        Its own time limits hold: every statement and connection of it has one.
        """
        question = {"words": [*words, "--format", "json"], "stdin": stdin}
        code, out, error = self._ask(json.dumps(question))
        if code != 0:
            words_said = (error.strip() or out.strip())[-2000:]
            raise LabError(f"undercast {shown(words)}: {words_said}", self._log)
        try:
            return json.loads(out)
        except ValueError:
            raise LabError(f"undercast {shown(words)} printed no JSON: {out!r}") from None

    def _ask(self, question: str) -> tuple[int, str, str]:
        writer, reader = self._process.stdin, self._process.stdout
        if writer is None or reader is None:
            raise TypeError("the process was started without pipes")
        try:
            writer.write(question + "\n")
            writer.flush()
            answer = reader.readline()
        except OSError as error:
            raise LabError(f"the operator's command ended: {error}") from error
        if not answer:
            raise LabError("the operator's command ended; its last words are above")
        code, out, complaint = json.loads(answer)
        return code, out, complaint


def serve() -> None:
    """Be the process of an :class:`Operator`, until its input ends."""
    questions, answers = sys.stdin, sys.stdout
    for line in questions:
        question = json.loads(line)
        print(json.dumps(_run(question["words"], question["stdin"])), file=answers, flush=True)


def _run(words: list[str], stdin: str) -> tuple[int, str, str]:
    """One command: its exit code, output and complaints."""
    from deploy.cli.main import app  # noqa: PLC0415 - loads much

    out, complaints = io.StringIO(), io.StringIO()
    kept, sys.stdin = sys.stdin, io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
            app(words, prog_name="undercast")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return code, out.getvalue(), complaints.getvalue()
    finally:
        sys.stdin = kept
    return 0, out.getvalue(), complaints.getvalue()
