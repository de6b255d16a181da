"""Variables in the paths of routes."""

from starlette.convertors import StringConvertor, register_url_convertor


class _Item(StringConvertor):
    """An item of a collection: ``detail`` is the list of all, with methods of its own (R89)."""

    regex = "(?!detail$)[^/]+"


register_url_convertor("item", _Item())


def item(name: str) -> str:
    """The last segment of a route's path: an item of a collection that also has ``detail``."""
    return f"{{{name}:item}}"
