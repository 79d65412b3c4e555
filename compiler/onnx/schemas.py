"""Writes `src/schemas.txt`: every operator of ONNX's own domain and of com.microsoft, one a line.

    python3 schemas.py > src/schemas.txt

needs the Python packages onnx 1.23.2 and onnxruntime 1.32.0, whose registries are the source. A line holds the operator, the
operator sets in which its form changed (`!` marks one that removes it), and the element types that the operands of
its newest form may have (of its results where it has no operands).
"""

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime


def element_types(names):
    """`tensor(float)` and `seq(tensor(float))` as `float`, in ONNX's order of type numbers."""
    found = {name.rsplit("(", 1)[-1].rstrip(")") for name in names}
    order = [name.lower() for name in onnx.TensorProto.DataType.keys()]
    return sorted(found & set(order), key=order.index)


def line(name, forms, types):
    since = ",".join(f"{version}{'!' if removed else ''}" for version, removed in sorted(forms))
    return f"{name} {since} {','.join(types) or '-'}"


def own():
    forms, newest = {}, {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            forms.setdefault(schema.name, set()).add((schema.since_version, schema.deprecated))
            if not schema.deprecated:
                best = newest.get(schema.name)
                if best is None or best.since_version < schema.since_version:
                    newest[schema.name] = schema
    for name in sorted(forms):
        schema = newest[name]
        places = schema.inputs or schema.outputs
        yield line(name, forms[name], element_types(ty for place in places for ty in place.types))


def of_runtime(domain, keep):
    for schema in sorted(runtime.get_all_operator_schema(), key=lambda schema: schema.name):
        if schema.domain == domain and keep(schema.name):
            places = schema.inputs or schema.outputs
            types = element_types(ty for place in places for ty in place.types)
            prefix = f"{domain}." if domain else ""
            yield line(prefix + schema.name, {(schema.since_version, bool(schema.deprecated))}, types)


if __name__ == "__main__":
    print(f"# onnx {onnx.__version__}, operator sets 1 to {onnx.defs.onnx_opset_version()}; onnxruntime {onnxruntime.__version__}")
    # ONNX Runtime's optimiser writes this one in ONNX's own domain.
    lines = list(own()) + list(of_runtime("", lambda name: name == "SimplifiedLayerNormalization"))
    print("\n".join(sorted(lines, key=lambda line: line.split()[0]) + list(of_runtime("com.microsoft", lambda _: True))))
