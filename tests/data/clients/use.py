"""What the page's code does against a served project; prints what came of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from api import Refused, add, every, explain, rename, sign_in, upload
from api_client.models import NoteCreate


def refusal(call: Callable[[], object]) -> str:
    """What a refused call says."""
    try:
        call()
    except Refused as error:
        return explain(error)
    return "not refused"


url, email, password = sys.argv[1:]
client = sign_in(url, email, password)
note = add(client, NoteCreate(title="Tide"), "clients-1")
again = add(client, NoteCreate(title="Tide"), "clients-1")
for title in ("Buoy", "Anchor"):
    add(client, NoteCreate(title=title, tags=["gear"]))
file = Path("notes.csv")
file.write_text("title\nMole\n", encoding="utf-8")
renamed = rename(client, note, "Tides")
print(
    json.dumps(
        {
            "same_note": again.id == note.id,
            "listed": [each.title for each in every(client, 2)],
            "wrong_password": refusal(lambda: sign_in(url, email, "wrong")),
            "reused": refusal(lambda: add(client, NoteCreate(title="Other"), "clients-1")),
            "invalid": refusal(lambda: add(client, NoteCreate(title=""))),
            "renamed": renamed.version if renamed else None,
            "stale": rename(client, note, "Tides again"),
            "imported": upload(client, file).rows == 1,
        }
    )
)
