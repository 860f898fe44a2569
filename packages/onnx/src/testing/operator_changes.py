"""Prints, from the schemas of the onnx package, [domain, operator, from, to, whether `to` reads alike what `from` wrote]."""

import json

from onnx import defs


def types(schema, parameter):
    allowed = {each.type_param_str: set(each.allowed_type_strs) for each in schema.type_constraints}
    return allowed.get(parameter.type_str, {parameter.type_str})


def reads_alike(old, new):
    if new.deprecated:
        return False
    if old.min_input < new.min_input or old.max_input > new.max_input:
        return False
    if old.min_output < new.min_output or old.max_output > new.max_output:
        return False
    for name, attribute in old.attributes.items():
        other = new.attributes.get(name)
        if other is None or other.type != attribute.type or (other.required and not attribute.required):
            return False
        if other.default_value.SerializeToString() != attribute.default_value.SerializeToString():
            return False
    if any(each.required for name, each in new.attributes.items() if name not in old.attributes):
        return False
    pairs = [*zip(old.inputs, new.inputs), *zip(old.outputs, new.outputs)]
    return all(a.option == b.option and types(old, a) <= types(new, b) for a, b in pairs)


schemas = {}
for schema in defs.get_all_schemas_with_history():
    if schema.domain in ("", "ai.onnx.ml"):
        schemas.setdefault((schema.domain, schema.name), []).append(schema)
changes = []
for (domain, name), versions in schemas.items():
    versions.sort(key=lambda schema: schema.since_version)
    for old, new in zip(versions, versions[1:]):
        changes.append([domain, name, old.since_version, new.since_version, reads_alike(old, new)])
print(json.dumps(changes))
