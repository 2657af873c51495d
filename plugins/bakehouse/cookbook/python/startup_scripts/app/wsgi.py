"""An example: notes in a database in memory. Replace it, requirements.in and requirements.lock."""

import sqlite3

from flask import Flask, Response, abort, request

app = Flask(__name__)
# shared by the threads of a worker; SQLite is compiled to allow it, and Python serialises calls
notes = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
notes.execute("CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT)")


def healthz() -> Response:
    """Answer when the database does."""
    (count,) = notes.execute("SELECT count(*) FROM notes").fetchone()
    return Response(f"{count} notes\n", mimetype="text/plain")


def write(name: str) -> Response:
    """Keep a note."""
    notes.execute("REPLACE INTO notes VALUES (?, ?)", (name, request.get_data(as_text=True)))
    return Response(status=204)


def read(name: str) -> Response:
    """Tell a note."""
    row = notes.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
    if row is None:
        abort(404)
    return Response(row[0], mimetype="text/plain")


app.add_url_rule("/healthz", view_func=healthz)
app.add_url_rule("/notes/<name>", view_func=read)
app.add_url_rule("/notes/<name>", view_func=write, methods=["PUT"])
