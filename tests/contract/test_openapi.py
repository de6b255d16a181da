"""The OpenAPI document names every operation of the reference, with all that it says (R2, R4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from lxml import etree

from tests.api.client import Api
from tests.contract.reference import ALL, Operation
from tests.contract.served import route_of
from tests.contract.stage import Stage, path_of

JSON, XML = "application/json", "application/xml"
#: Of every operation; 405 is of paths, and in the document's own text.
COMMON = {401, 413, 500, 503}
NEVER = {"servers.delete": {409}}  # deletion is accepted in every state (D60)


@pytest.fixture(scope="module")
def document(module_api: Api) -> dict[str, Any]:
    answer = module_api.get("/openapi.json", token=None)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def shown(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    route = route_of(operation)
    assert route is not None
    found: dict[str, Any] = document["paths"][route.path_format][operation.method.lower()]
    return found


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=lambda o: o.id)


def test_it_is_a_valid_document(document: dict[str, Any]) -> None:
    OpenAPI(**document)
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    for path in document["paths"].values():
        for operation in path.values():
            assert set(operation["tags"]) <= described
            assert operation["tags"]
            assert operation["description"]


def test_r8_it_says_where_a_token_is_needed(document: dict[str, Any], stage: Stage) -> None:
    assert document["components"]["securitySchemes"]["token"]["name"] == "X-Auth-Token"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            stage.set()
            without = stage.send(method.upper(), path_of(path), token=None)
            if operation["security"]:
                assert without.status_code == 401, path
            else:
                with_token = stage.send(method.upper(), path_of(path))
                assert with_token.status_code == without.status_code, path


@each(ALL)
def test_it_names_the_operation_with_its_query(
    document: dict[str, Any], operation: Operation
) -> None:
    found = shown(document, operation)
    assert found["operationId"] == ("servers.action" if operation.action else operation.id)
    queries = {p["name"] for p in found.get("parameters", []) if p["in"] == "query"}
    assert set(operation.query) <= queries


@each(ALL)
def test_it_has_the_answer_with_examples_in_both_forms(
    document: dict[str, Any], operation: Operation
) -> None:
    answer = shown(document, operation)["responses"][str(operation.success)]
    if operation.json_answer is None:
        assert operation.action or "content" not in answer
        return
    ((root, _),) = answer["content"][JSON]["example"].items()
    assert root in json.loads(operation.json_answer) or operation.id == "servers.create"  # D4
    assert operation.xml_answer
    example = etree.fromstring(answer["content"][XML]["example"].encode())
    assert example.tag == etree.fromstring(operation.xml_answer.encode()).tag


@each(ALL)
def test_it_has_the_faults(document: dict[str, Any], operation: Operation) -> None:
    responses = shown(document, operation)["responses"]
    faults = operation.faults - NEVER.get(operation.id, set())
    wanted = faults | (COMMON if operation.is_tenants else {500, 503})
    assert {str(code) for code in wanted} <= set(responses)
    assert "422" not in responses
    for code in faults:
        fault = responses[str(code)]["content"]
        ((_, members),) = fault[JSON]["example"].items()
        assert members["code"] == code
        assert etree.fromstring(fault[XML]["example"].encode()).get("code") == str(code)


@each([operation for operation in ALL if operation.has_body])
def test_it_has_the_request_with_fields_and_examples(
    document: dict[str, Any], operation: Operation
) -> None:
    content = shown(document, operation)["requestBody"]["content"]
    schema = content[JSON]["schema"]
    if operation.action:
        schema = next(one for one in schema["oneOf"] if one["title"] == operation.id)
    ((root, below),) = schema["properties"].items()
    named = {root, *below.get("properties", ())}
    for field in operation.fields:
        if "not supported" not in str(field["limits"]):  # accepted and ignored (D49)
            assert field["name"] in named
            assert field["required"] is False or {field["name"]} <= named
    ((shown_root, _),) = content[JSON]["examples"][operation.id]["value"].items()
    example = etree.fromstring(content[XML]["examples"][operation.id]["value"].encode())
    assert (shown_root, etree.QName(example).localname) == (root, root)


def test_the_page_needs_no_internet(module_api: Api) -> None:
    page = module_api.get("/docs", token=None)
    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        assert f'"/docs/{name}"' in page.text
        answer = module_api.get(f"/docs/{name}", token=None)
        assert answer.headers["content-type"].startswith(kind)
        assert len(answer.content) > 50_000
    assert module_api.get("/docs/nothing.js", token=None).status_code == 404
