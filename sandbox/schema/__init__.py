"""The kinds' schemas and what follows from them: decoding, defaults, validation, patches, ownership of fields.

Pure functions on JSON values; the API server calls them in this order on every write:

    obj, duplicates = decode.parse_strict(body)
    warnings = decode.decode(resource, obj, strictness, duplicates, crd_type)
    defaults.default(resource, obj, crd_type)
    ... admission ...
    validate.check(resource, obj, old, crd_type)
    ... hooks that only refuse ...
    apply.track_update(resource, old, obj, manager, now, subresource, crd_type)

`crd_type` is the `Type` that `custom_kinds.establish` made for a version of a custom kind, None for built-in kinds.
"""
