"""Every operation of the reference: each form of request by each form of answer (R2, R4, R21-R26).

The request is the reference's example, byte for byte; the answer is compared with its example. A
case is one call; its name has the requirements and decisions that the operation stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from lxml import etree

from api.wire.call import Format
from tests.contract import corrections
from tests.contract.compare import like_json, like_xml
from tests.contract.reference import ALL, Operation
from tests.contract.results import noted
from tests.contract.stage import Stage, path_of

SUFFIX = {Format.JSON: ".json", Format.XML: ".xml"}
OTHER = {Format.JSON: Format.XML, Format.XML: Format.JSON}


@dataclass(frozen=True)
class Case:
    """One call. ``request``: form of the body, if any; ``by``: what chooses the answer's form."""

    operation: Operation
    request: Format | None
    answer: Format
    by: str

    def __str__(self) -> str:
        sent = f"{self.request.name}-" if self.request else ""
        return f"{self.operation.id}-{sent}{self.answer.name}-{self.by}-{self.operation.numbers}"


CASES = [
    Case(operation, request, answer, by)
    for operation in ALL
    for request in (Format if operation.has_body else (None,))
    for answer in Format
    for by in ("accept", "suffix")
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_answers_as_the_example(
    case: Case, stage: Stage, request: pytest.FixtureRequest
) -> None:
    operation = case.operation
    if operation.id == "limits.list":
        request.getfixturevalue("rates")
    with noted(operation.id, case.answer):
        stage.set(operation)
        content = None
        if case.request:
            content = corrections.request(operation, xml=case.request is Format.XML)
        wanted, suffix = case.answer, ""
        if case.by == "suffix":  # which wins over Accept (R24)
            wanted, suffix = OTHER[case.answer], SUFFIX[case.answer]
        answer = stage.send(
            operation.method, path_of(operation.path, suffix), content, case.request,
            {"Accept": wanted.value}, token="ann" if operation.is_tenants else None,
        )  # fmt: skip

        assert answer.status_code == operation.success, answer.text
        assert answer.headers["x-compute-request-id"].startswith("req-")
        assert int(answer.headers.get("content-length", 0)) == len(answer.content)  # R28
        for name in operation.headers:
            assert answer.headers[name].startswith("http://api.test:8774/v1.1/")
        if corrections.json_example(operation) is None:
            assert answer.content == b""  # R38
            return
        assert answer.headers["content-type"] == f"{case.answer.value}; charset=UTF-8"  # R27
        if case.answer is Format.JSON:
            like_json(corrections.json_example(operation), answer.json())
        else:
            example = corrections.xml_example(operation)
            assert example is not None
            like_xml(example, etree.fromstring(answer.content))
