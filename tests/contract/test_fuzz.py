"""Whatever is sent: a fault of the table in the form that was asked for, and nothing changed.

Every operation gets the same bounded number of requests in every run, made from its example and
from nothing. An answer is the operation's, or a fault whose root and status go together (R83); it
is well formed in the negotiated form (R84), shows no internals (R86), and is never a defect (R87).
A request that is refused, or that only reads, leaves every table as it was (R37, R73).
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from lxml import etree

from api.wire.call import Format
from tests.api.client import fault
from tests.api.world import token_of
from tests.contract.reference import ALL, FAULT_ELEMENTS, OPERATIONS, Operation
from tests.contract.stage import Stage
from tests.contract.strategies import Sent, bounded, requests

INTERNALS = ("Traceback", "sqlalchemy", "psycopg", "lxml", "SELECT ", "INSERT ", "site-packages")


@pytest.mark.parametrize("operation", ALL, ids=lambda o: o.id)
def test_r83_r84_r86_r87_any_request_is_answered_or_refused_without_a_trace(
    stage: Stage, operation: Operation
) -> None:
    statuses = {o.success for o in OPERATIONS.values() if o.method == operation.method}

    @bounded(60 if operation.has_body else 25)
    @given(requests(operation))
    def is_answered(sent: Sent) -> None:
        stage.set(operation)
        before = stage.digest()
        headers = {"X-Auth-Token": token_of("ann"), **sent.headers}
        answer = stage.send(
            sent.method, sent.path, sent.content, token=None,
            headers={name: value.encode("latin-1") for name, value in headers.items()},
        )  # fmt: skip
        if answer.content:
            assert answer.headers["content-type"] == f"{sent.form.value}; charset=UTF-8"
        if answer.status_code in statuses:
            if answer.content:
                if sent.form is Format.JSON:
                    json.loads(answer.content)
                else:
                    etree.fromstring(answer.content)
        else:
            status, root, message = fault(answer)
            assert FAULT_ELEMENTS[root] == status != 500, message
            assert status != 503, message
        assert not [word for word in INTERNALS if word in answer.text]
        if operation.reads or answer.status_code >= 400:
            assert stage.digest() == before

    is_answered()
