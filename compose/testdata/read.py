"""Read every .eml of a folder with Python's email package and print what it sees as JSON."""
import email
import email.policy
import json
import pathlib
import sys

out = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml")):
    msg = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    defects, leaves = [], []
    for part in msg.walk():
        defects += [repr(d) for d in part.defects]
        for name, value in part.items():
            defects += [f"{name}: {d!r}" for d in value.defects]
        if part.is_multipart():
            continue
        data = part.get_payload(decode=True)
        defects += [repr(d) for d in part.defects]
        leaf = {"type": part.get_content_type(), "name": part.get_filename() or "", "data": data.hex()}
        if part.get_content_disposition() is None:
            leaf["data"] = data.decode("utf-8").replace("\r\n", "\n").rstrip("\n")
        leaves.append(leaf)
    to, sender = msg["To"].addresses, msg["From"].addresses
    if len(to) != 1 or len(sender) != 1:
        defects.append(f"{len(to)} recipients, {len(sender)} senders")
    out[path.name] = {
        "subject": msg["Subject"], "to": to[0].addr_spec, "name": to[0].display_name,
        "from": sender[0].display_name, "defects": sorted(set(defects)), "leaves": leaves,
    }
json.dump(out, sys.stdout)
