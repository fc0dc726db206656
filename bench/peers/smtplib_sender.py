"""Sends a personalised letter to each line of a people file with smtplib, for the speed comparison.

Usage: smtplib_sender.py HOST PORT CONNECTIONS FOLDER PEOPLE
FOLDER has subject.txt, letter.txt and letter.html with {{first_name}}, {{town}} and {{number}}; PEOPLE has one line
per person: address, name, first_name, town, number, separated by tabs.

It prints "ready" when everything is read, waits for a line, sends, prints {"sent": N}, and ends when its standard
input closes, so that its parent can read its CPU clock before and after.
"""

import html
import json
import pathlib
import smtplib
import string
import sys
import threading
from email.message import EmailMessage


def template(folder, name):
    text = (folder / name).read_text(encoding="utf-8").replace("$", "$$")
    for field in ("first_name", "town", "number"):
        text = text.replace("{{" + field + "}}", "${" + field + "}")
    return string.Template(text)


def main():
    host, port, connections, folder, people = sys.argv[1:]
    folder = pathlib.Path(folder)
    subject, text, rich = (template(folder, n) for n in ("subject.txt", "letter.txt", "letter.html"))
    rows = [line.split("\t") for line in pathlib.Path(people).read_text(encoding="utf-8").splitlines()]
    sent, failed, lock = 0, [], threading.Lock()
    turn = iter(rows)

    def take():
        with lock:
            return next(turn, None)

    def work():
        nonlocal sent
        done = 0
        try:
            with smtplib.SMTP(host, int(port), local_hostname="localhost", timeout=60) as server:
                while (row := take()) is not None:
                    address, name, *values = row
                    fields = dict(zip(("first_name", "town", "number"), values))
                    message = EmailMessage()
                    message["From"] = "Shop <shop@example.org>"
                    message["To"] = f"{name} <{address}>"
                    message["Subject"] = subject.substitute(fields)
                    message.set_content(text.substitute(fields))
                    escaped = {k: html.escape(v) for k, v in fields.items()}
                    message.add_alternative(rich.substitute(escaped), subtype="html")
                    server.send_message(message)
                    done += 1
        except (OSError, smtplib.SMTPException) as error:
            failed.append(repr(error))
        with lock:
            sent += done

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=work) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"sent": sent}), flush=True)
    sys.stdin.read()
    if failed:
        sys.exit(failed[0])


main()
