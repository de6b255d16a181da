"""GET /docs and /openapi.json, without a token."""

from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from api.docs.schema import TITLE, openapi
from api.faults import NotFound

router = APIRouter(include_in_schema=False)

_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")


@router.get("/openapi")  # the middleware cuts .json off (D24)
async def show_openapi(request: Request) -> Response:
    """The OpenAPI document; made when it is first asked for."""
    return JSONResponse(openapi(request.app))


@router.get("/docs")
async def show_docs() -> Response:
    """A page that shows the document."""
    script, style, icon = (f"/docs/{name}" for name in _FILES)
    return get_swagger_ui_html(
        openapi_url="/openapi.json", title=TITLE, swagger_js_url=script, swagger_css_url=style,
        swagger_favicon_url=icon, swagger_ui_parameters={"docExpansion": "none"},
    )  # fmt: skip


@router.get("/docs/{name}")
async def show_file(name: str) -> Response:
    """What the page is made of."""
    if name not in _FILES:
        raise NotFound
    return FileResponse(Path(str(resources.files("fastapi_swagger"))) / "resources" / name)
