"""Which form the answer has (R21-R26, D27, D82)."""

from api.wire.call import Format

_TYPES = {
    "application/json": Format.JSON,
    "application/xml": Format.XML,
    "application/vnd.openstack.compute-v1.1+json": Format.JSON,
    "application/vnd.openstack.compute-v1.1+xml": Format.XML,
    "application/vnd.openstack.identity-v2.0+json": Format.JSON,
    "application/vnd.openstack.identity-v2.0+xml": Format.XML,
}
_ANY = ("*/*", "application/*")
_SUFFIXES = {".json": Format.JSON, ".xml": Format.XML}


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def accepted(accept: str) -> Format:
    """The form that an Accept header likes best: a named one first of equals, else JSON.

    Never refuses: an Accept that nothing satisfies gets JSON (D27).
    """
    named: dict[Format, float] = {}
    others = 0.0  # quality of what is not named
    for item in accept.split(","):
        name, *parameters = item.split(";")
        name, quality = name.strip().lower(), _quality(parameters)
        if name in _ANY:
            others = max(others, quality)
        elif name in _TYPES:
            form = _TYPES[name]
            named[form] = max(named.get(form, 0.0), quality)
    unnamed = [form for form in Format if form not in named]
    best = max([*named, *unnamed], key=lambda form: named.get(form, others))
    return best if named.get(best, others) else Format.JSON


def split_suffix(segment: str) -> tuple[str, str, Format | None]:
    """A last path segment without its format suffix, the suffix, and the form it asks for (D24)."""
    for suffix, form in _SUFFIXES.items():
        if segment.endswith(suffix) and segment != suffix:
            return segment.removesuffix(suffix), suffix, form
    return segment, "", None
