"""Instances of users' classes, both ways: dataclasses, pydantic models, named tuples and enum members.

    {"$":"dataclass","of":"shop.models:Order","v":{"id":1},"more":{"_seen":true}}
    {"$":"model","of":"shop.models:Cart","v":{...},"set":["id"],"extra":{...},"private":{...},"more":{...}}
    {"$":"namedtuple","of":"shop.models:Point","v":{"x":1,"y":2}}
    {"$":"enum","of":"shop.models:Color","v":"RED"}      {"$":"enum","of":"shop.models:Mode","n":3}  (combined flags)

- Reading runs no `__init__`, `__post_init__` and no validator: the value was made once, it is not made again. What it
  may run is a default factory, for a field that is newer than the record.
- "more" is what an instance keeps besides its fields; cached properties are left out, they are computed again.
- A field that the class no longer has is an error: dropping it silently could change what the program does.
- Pydantic is imported where a model is at hand, and so is there already: importing it takes longer than all of Stent.
"""

from __future__ import annotations

from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, Final

from stent.codec.plain import has_split_pair
from stent.codec.scalars import read_int, text_of, write_int
from stent.codec.shapes import cached_names, shape_of
from stent.codec.walk import DocumentReader, Refusal, ValueWriter, quote, type_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel


def write_dataclass(value: Any, name: str, writer: ValueWriter, depth: int) -> str:
    cls = type(value)
    shape = shape_of(cls)
    if shape.base is not None:
        raise Refusal(
            f"is a dataclass that is also a {shape.base.__name__}",
            type_name=type_label(cls),
            fix=f"give the dataclass a field that holds the {shape.base.__name__}",
        )
    parts = []
    for field in shape.fields.values():
        try:
            item = object.__getattribute__(value, field.name)
        except AttributeError:
            if field.may_be_unset:
                continue
            raise Refusal(f"has no value for its field {field.name!r}", type_name=type_label(cls)) from None
        try:
            parts.append(field.key + writer.text(item, depth + 1))
        except Refusal as refusal:
            raise refusal.under(f".{field.name}") from None
    extra = shape.extra_state(value)
    more = f',"more":{_mapping_text(writer, extra, depth)}' if extra else ""
    return f'{{"$":"dataclass","of":{quote(name)},"v":{{{",".join(parts)}}}{more}}}'


def _mapping_text(writer: ValueWriter, items: dict[str, Any], depth: int) -> str:
    """A JSON object of attributes. Names are no user's dict: they need no escape, and no name may need one."""
    parts = []
    for name, item in items.items():
        if type(name) is not str or has_split_pair(name):
            raise Refusal(f"has an attribute named {str(name)[:60]!a}, which cannot be stored")
        try:
            parts.append(f"{quote(name)}:{writer.text(item, depth + 1)}")
        except Refusal as refusal:
            raise refusal.under(f".{name}") from None
    return f"{{{','.join(parts)}}}"


def _read_mapping(node: Any, reader: DocumentReader, depth: int) -> dict[str, Any]:
    """An object of attributes, its values read in place."""
    if type(node) is not dict:
        raise TypeError("no object")
    for name, item in node.items():
        kind = type(item)
        if kind is dict or kind is list:
            try:
                node[name] = reader.value(item, depth + 1)  # same keys: allowed while iterating
            except Refusal as refusal:
                raise refusal.under(f".{name}") from None
    return node


def read_dataclass(node: dict[str, Any], reader: DocumentReader, depth: int) -> Any:
    cls = reader.class_of(text_of(node, "of"), "dataclass")
    fields = shape_of(cls).fields
    found = _read_mapping(node["v"], reader, depth)
    _refuse_unknown(cls, found.keys() - fields.keys())
    made: object = object.__new__(cls)
    for field in fields.values():
        if field.name in found:
            object.__setattr__(made, field.name, found[field.name])
        elif field.make_default is not None:
            object.__setattr__(made, field.name, field.make_default())
        elif field.required:
            raise _missing(cls, field.name)
    if "more" in node:
        shape_of(cls).restore_extra(made, _read_mapping(node["more"], reader, depth))
    return made


def _refuse_unknown(cls: type, names: set[str]) -> None:
    if names:
        raise Refusal(
            f"was stored with {', '.join(repr(name) for name in sorted(names)[:5])}, "
            f"which {type_label(cls)} does not have now",
            type_name=type_label(cls),
            fix="keep the field (with a default) as long as stored values have it",
        )


def _missing(cls: type, name: str) -> Refusal:
    return Refusal(
        f"was stored without {name!r}, which {type_label(cls)} needs now",
        type_name=type_label(cls),
        fix="give the new field a default",
    )


def write_model(value: BaseModel, name: str, writer: ValueWriter, depth: int) -> str:
    cls = type(value)
    state = value.__dict__
    fields = cls.model_fields
    for field in fields:
        if field not in state:
            raise Refusal(f"has no value for its field {field!r}", type_name=type_label(cls))
    shown = _mapping_text(writer, {field: state[field] for field in fields}, depth)
    text = f'{{"$":"model","of":{quote(name)},"v":{shown}'
    text += f',"set":[{",".join(map(quote, sorted(value.model_fields_set)))}]'
    # An extra may have any name at all, so it is written as any dict is.
    if value.__pydantic_extra__ is not None:
        text += f',"extra":{writer.text(value.__pydantic_extra__, depth + 1)}'
    if value.__pydantic_private__ is not None:
        text += f',"private":{_mapping_text(writer, _private_state(value), depth)}'
    if len(state) != len(fields):
        skipped = fields.keys() | cached_names(cls)
        more = {key: item for key, item in state.items() if key not in skipped}
        text += f',"more":{_mapping_text(writer, more, depth)}' if more else ""
    return text + "}"


def _private_state(value: BaseModel) -> dict[str, Any]:
    from pydantic_core import PydanticUndefined

    private = value.__pydantic_private__ or {}
    state = {name: item for name, item in private.items() if item is not PydanticUndefined}
    for name, attribute in type(value).__private_attributes__.items():
        has_default = attribute.default is not PydanticUndefined or attribute.default_factory is not None
        if has_default and name not in state:  # it would come back with its default
            raise Refusal(f"has lost its private attribute {name!r}", type_name=type_label(type(value)))
    return state


def read_model(node: dict[str, Any], reader: DocumentReader, depth: int) -> Any:
    from pydantic import BaseModel, RootModel

    cls: type[BaseModel] = reader.class_of(text_of(node, "of"), "model")
    fields = cls.model_fields
    found = _read_mapping(node["v"], reader, depth)
    _refuse_unknown(cls, found.keys() - fields.keys())
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in found:
            values[name] = found[name]
        elif field.is_required():
            raise _missing(cls, name)
        else:
            more = {"validated_data": values} if getattr(field, "default_factory_takes_validated_data", False) else {}
            values[name] = field.get_default(call_default_factory=True, **more)
    extra = reader.value(node["extra"], depth + 1) if "extra" in node else None
    if cls.model_config.get("extra") == "allow":
        extra = {} if extra is None else extra
    elif extra:
        _refuse_unknown(cls, set(extra))
    else:
        extra = None
    if "more" in node:
        values.update(_read_mapping(node["more"], reader, depth))
    made = object.__new__(cls)
    state = {
        "__dict__": values,
        "__pydantic_fields_set__": {name for name in node["set"] if type(name) is str},
        "__pydantic_extra__": extra,
        "__pydantic_private__": _private_of(cls, node, reader, depth),
    }
    (RootModel if issubclass(cls, RootModel) else BaseModel).__setstate__(made, state)
    return made


def _private_of(
    cls: type[BaseModel], node: dict[str, Any], reader: DocumentReader, depth: int
) -> dict[str, Any] | None:
    """The private attributes: as recorded; what the class has gained since gets its default."""
    from pydantic_core import PydanticUndefined

    attributes = cls.__private_attributes__
    state = _read_mapping(node.get("private", {}), reader, depth)
    _refuse_unknown(cls, state.keys() - attributes.keys())
    for name, attribute in attributes.items():
        if name not in state:
            default = attribute.get_default()
            if default is not PydanticUndefined:
                state[name] = default
    return state if attributes else None


def write_namedtuple(value: Any, name: str, writer: ValueWriter, depth: int) -> str:
    cls = type(value)
    items = tuple(tuple.__iter__(value))
    if len(items) != len(cls._fields):
        raise Refusal(f"has {len(items)} items for {len(cls._fields)} fields", type_name=type_label(cls))
    if getattr(value, "__dict__", None):
        raise Refusal("is a named tuple with attributes of its own", type_name=type_label(cls), fix="use a dataclass")
    fields = _mapping_text(writer, dict(zip(cls._fields, items, strict=True)), depth)
    return f'{{"$":"namedtuple","of":{quote(name)},"v":{fields}}}'


def read_namedtuple(node: dict[str, Any], reader: DocumentReader, depth: int) -> Any:
    cls: Any = reader.class_of(text_of(node, "of"), "namedtuple")
    found = _read_mapping(node["v"], reader, depth)
    _refuse_unknown(cls, found.keys() - set(cls._fields))
    defaults = getattr(cls, "_field_defaults", {})
    for name in cls._fields:
        if name not in found:
            if name not in defaults:
                raise _missing(cls, name)
            found[name] = defaults[name]
    return tuple.__new__(cls, [found[name] for name in cls._fields])


def write_enum(value: Enum, name: str, writer: ValueWriter, depth: int) -> str:
    cls = type(value)
    members = cls._member_map_
    if members.get(value._name_) is value:
        return f'{{"$":"enum","of":{quote(name)},"v":{quote(value._name_)}}}'
    if isinstance(value, Flag) and type(value._value_) is int and cls(value._value_) is value:
        return f'{{"$":"enum","of":{quote(name)},"n":{write_int(value._value_)}}}'
    raise Refusal("is no member of its enum that could be found again", type_name=type_label(cls))


def read_enum(node: dict[str, Any], reader: DocumentReader, depth: int) -> Any:
    cls: Any = reader.class_of(text_of(node, "of"), "enum")
    if "n" in node:
        if not issubclass(cls, Flag):
            raise TypeError("no flag")
        return cls(read_int(node["n"]))
    member = cls._member_map_.get(text_of(node))
    if member is None:
        raise Refusal(
            f"is {text_of(node)!r}, which {type_label(cls)} does not have now",
            type_name=type_label(cls),
            fix="keep the member as long as stored values have it",
        )
    return member


OBJECT_WRITERS: Final[dict[str, Callable[[Any, str, ValueWriter, int], str]]] = {
    "dataclass": write_dataclass,
    "model": write_model,
    "namedtuple": write_namedtuple,
    "enum": write_enum,
}

OBJECT_READERS: Final[dict[str, Callable[[dict[str, Any], DocumentReader, int], Any]]] = {
    "dataclass": read_dataclass,
    "model": read_model,
    "namedtuple": read_namedtuple,
    "enum": read_enum,
}
