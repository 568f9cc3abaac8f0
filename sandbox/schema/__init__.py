"""The kinds' schemas and what follows from them: decoding, defaults, validation, patches, ownership of fields.

Pure functions on JSON values; the API server calls them in this order on every write:

    obj, duplicates = decode.parse_strict(body)
    warnings = decode.decode(resource, kind, obj, strictness, duplicates)
    defaults.default(kind, obj)
    ... admission ...
    validate.check(resource, kind, obj, old)
    ... hooks that only refuse ...
    apply.track_update(resource, kind, old, obj, manager, now, subresource)

`kind` is the `Type` of the resource's objects: `types.of_kind`, or what `custom_kinds.establish` made of a CRD.
"""
