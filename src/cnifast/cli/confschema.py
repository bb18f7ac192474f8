"""The JSON Schema of configurations, derived from the types that the plugins decode them with.

Keys, kinds of values and defaults are those of the plugins' Structs; descriptions are the texts
below the declarations, which only the source has.  Keys match without regard to case, unknown
keys are ignored and null is as if the key were absent: a schema shows how keys are written, and
allows what it does not know.

A plugin's Structs are what its module calls CONF, one or a tuple, or else the one kind of NetConf
that it has.
"""

from __future__ import annotations

import ast
import inspect
import textwrap

from cnifast.plugins import MODULES, NAMES, load
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import Array, Map, Raw, Record, Struct
from cnifast.protocol.versions import SUPPORTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.protocol.schema import Field, Kind

    Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IPAM_PACKAGE = "cnifast.ipam."
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def of_plugin(name: str) -> Schema:
    """Return the schema of a plugin's configuration, as it stands in a list or by itself.

    Raises:
        LookupError: there is no such plugin.
    """
    schema = {"$schema": DIALECT, **_entry(name)}
    ipam = schema["properties"].get("ipam")
    if ipam is not None and not _is_ipam(name):
        schema["properties"]["ipam"] = {**ipam, "allOf": _when(_ipam_rules())}
    return schema


def of_lists() -> Schema:
    """Return the schema of a network configuration list, with the plugins known here in it."""
    common = _common()
    rules = {name: of_plugin(name) for name in NAMES if not _is_ipam(name)}
    for rule in rules.values():
        del rule["$schema"]
    return {
        "$schema": DIALECT,
        "title": "network configuration list",
        "description": "A chain of plugins that attach a container to one network.",
        "type": "object",
        "properties": {
            "cniVersion": {**common["cniVersion"], "description": "Version of the specification."},
            "name": {**common["name"], "description": "Name of the network."},
            "plugins": {
                "description": "The plugins, in the order in which ADD calls them.",
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {"type": common["type"]},
                    "required": ["type"],
                    "allOf": _when({name: {"$ref": f"#/$defs/{name}"} for name in rules}),
                },
            },
        },
        "required": ["name", "plugins"],
        "$defs": rules,
    }


def structs_of(name: str) -> tuple[type[Struct], ...]:
    """Return the types that a plugin decodes its configuration with.

    Raises:
        LookupError: there is no such plugin, or its module does not say which they are.
    """
    module = load(name)
    declared = getattr(module, "CONF", None)
    if declared is not None:
        return declared if isinstance(declared, tuple) else (declared,)
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, NetConf)
    ]
    last = [one for one in kinds if not any(one in other.__mro__[1:] for other in kinds)]
    if len(last) != 1:
        raise LookupError(f"{MODULES[name]} has no CONF, and not one kind of NetConf")
    return tuple(last)


def described(struct: type[Struct]) -> dict[str, str]:
    """Return the texts below the declarations of a Struct and its bases, by attribute."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if not issubclass(cls, Struct) or cls is Struct:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        attr = ""
        for node in body.body if isinstance(body, ast.ClassDef) else ():
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                attr = node.targets[0].id
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and attr:
                found[attr] = inspect.cleandoc(str(node.value.value))
                attr = ""
            else:
                attr = ""
    return found


def _is_ipam(name: str) -> bool:
    """Tell whether a plugin manages addresses for others."""
    return MODULES[name].startswith(IPAM_PACKAGE)


def _entry(name: str) -> Schema:
    """Return the schema of a plugin by itself."""
    properties = _common()
    for struct in structs_of(name):
        for key, schema in _properties(struct).items():
            known = properties.get(key, {})
            properties[key] = {**known, **schema}
            if "properties" in known and "properties" in schema:
                properties[key]["properties"] = known["properties"] | schema["properties"]
    description = inspect.cleandoc(load(name).__doc__ or "").partition("\n\n")[0]
    properties["type"] = {**properties["type"], "const": name}
    return {
        "title": name,
        "description": " ".join(description.split()),
        "type": "object",
        "properties": properties,
        "required": ["type"],
    }


def _common() -> dict[str, Schema]:
    """Return the schemas of the keys that every plugin has, with what all check of them."""
    properties = _properties(NetConf)
    properties["cniVersion"]["enum"] = list(SUPPORTED)
    properties["name"]["pattern"] = NAME_PATTERN
    return properties


def _ipam_rules() -> dict[str, Schema]:
    """Return by IPAM plugin what its object in a configuration must be."""
    return {
        name: {**_entry(name)["properties"]["ipam"], "title": name}
        for name in NAMES
        if _is_ipam(name)
    }


def _when(rules: dict[str, Schema]) -> list[Schema]:
    """Return the rules as conditions on "type"; other types are none of ours."""
    return [
        {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": rule}
        for name, rule in rules.items()
    ]


def _properties(struct: type[Struct]) -> dict[str, Schema]:
    """Return the schemas of a Struct's keys."""
    texts = described(struct)
    fields = {known.key: known for known in struct.FIELDS.values()}
    return {key: _of_field(known, texts.get(known.attr, "")) for key, known in fields.items()}


def _of_field(known: Field, text: str) -> Schema:
    """Return the schema of one key."""
    schema = of_kind(known.kind)
    if text:
        schema = {"description": text, **schema}
    default = known.default
    if isinstance(default, bool | int | str) and default != "":
        schema["default"] = default
    return schema


def of_kind(kind: Kind[Any]) -> Schema:
    """Return the schema of a kind of value."""
    if isinstance(kind, Raw):
        return of_kind(kind.kind)
    if isinstance(kind, Array):
        return {"type": "array", "items": of_kind(kind.item), **kind.schema}
    if isinstance(kind, Map):
        return {"type": "object", "additionalProperties": of_kind(kind.item), **kind.schema}
    if isinstance(kind, Record):
        properties = _properties(kind.struct)
        return {"type": "object", "properties": properties, **kind.schema}
    return dict(kind.schema)
