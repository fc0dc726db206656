#!/usr/bin/env python3
"""Reads delivered mail with Python's own e-mail package: a second opinion on what Postroom sent.

Usage: readmail.py FOLDER...

Prints one JSON object a line for every message in the Maildirs at or below the folders, in the order of delivery:
recipient (of the envelope), path, subject, from, to, message_id, date (ISO 8601, or as it stands if it cannot be read),
text, html (null when there is no such part), attachments [{name, type, size, sha256, disposition, content_id}], where
size and sha256 are of the decoded bytes, and defects (what the parser found wrong, empty for a sound message).
"""
import email
import email.policy
import hashlib
import json
import os
import sys


def maildir_files(folder):
    for directory, _, names in os.walk(folder):
        if os.path.basename(directory) in ("new", "cur"):
            for name in names:
                path = os.path.join(directory, name)
                yield os.stat(path).st_mtime_ns, path


def header(message, name):
    value = message[name]
    return None if value is None else str(value)


def date(message):
    value = message["date"]
    if value is None:
        return None
    return value.datetime.isoformat() if value.datetime is not None else str(value)


def decoded(part):
    """The bytes of a part that is not text of the body."""
    if part.get_content_maintype() == "message":
        return b"".join(bytes(inner) for inner in part.get_payload())
    return part.get_payload(decode=True) or b""


def leaves(part):
    if part.get_content_maintype() == "multipart":
        for inner in part.iter_parts():
            yield from leaves(inner)
    else:
        yield part


def defects(part):
    found = [type(defect).__name__ + ": " + str(defect) for defect in part.defects]
    for name, value in part.items():
        for defect in getattr(value, "defects", ()):
            found.append(name + ": " + type(defect).__name__ + ": " + str(defect))
    if part.get_content_maintype() == "multipart":
        for inner in part.iter_parts():
            found += defects(inner)
    return found


def content(part, found):
    if part is None:
        return None
    try:
        return part.get_content(errors="strict")
    except (LookupError, UnicodeError) as error:
        found.append(type(error).__name__ + ": " + str(error))
        return part.get_content(errors="replace") if isinstance(error, UnicodeError) else None


def describe(path):
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    text = message.get_body(preferencelist=("plain",))
    html = message.get_body(preferencelist=("html",))
    attachments = []
    for part in leaves(message):
        if part is text or part is html:
            continue
        data = decoded(part)
        attachments.append({
            "name": part.get_filename(),
            "type": part.get_content_type(),
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "disposition": part.get_content_disposition(),
            "content_id": header(part, "content-id"),
        })
    # Decoding comes first: base64 and quoted-printable faults are noted on the part while it is decoded.
    faults = []
    plain = content(text, faults)
    rich = content(html, faults)
    return {
        "recipient": header(message, "x-original-to") or header(message, "delivered-to"),
        "path": path,
        "subject": header(message, "subject"),
        "from": header(message, "from"),
        "to": header(message, "to"),
        "message_id": header(message, "message-id"),
        "date": date(message),
        "text": plain,
        "html": rich,
        "attachments": attachments,
        "defects": defects(message) + faults,
    }


def main(folders):
    if not folders:
        sys.exit(__doc__)
    files = []
    for folder in folders:
        if not os.path.isdir(folder):
            sys.exit("no such folder: " + folder)
        files += maildir_files(folder)
    for _, path in sorted(files):
        print(json.dumps(describe(path)))


if __name__ == "__main__":
    main(sys.argv[1:])
