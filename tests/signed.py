"""Files of a store with another content, and the digest that belongs to it."""

import contextlib
import hashlib
import json

from trueness.files import read_json, write_json


def change(path, **values):
    """Replace fields of a JSON file."""
    write_json(path, {**read_json(path), **values})


def entries(path, text):
    """Write a list of entries, or a text that is no JSON as it is; return what stands there."""
    path.write_text(text)
    with contextlib.suppress(ValueError):
        write_json(path, {"entries": json.loads(text)})
    return path.read_bytes()


def ledger_line(content):
    """A line of a ledger."""
    text = json.dumps(content, sort_keys=True)
    return f'{text[:-1]}, "sha256": "{hashlib.sha256(text.encode()).hexdigest()[:16]}"}}\n'
