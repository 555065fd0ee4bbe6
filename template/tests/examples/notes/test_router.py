"""Reading and changing single notes."""

from uuid import uuid4

from httpx2 import AsyncClient

from tests.examples.notes.api import NOTES, create


async def test_create_returns_note_and_location(client: AsyncClient) -> None:
    """A new note has a location, a version and its tags in order."""
    answer = await client.post(NOTES, json={"title": "Paint the boat", "body": "Blue.", "tags": ["sea", "boat"]})

    note = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{NOTES}/{note['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert (note["title"], note["body"], note["tags"]) == ("Paint the boat", "Blue.", ["boat", "sea"])
    assert note["created_at"] == note["updated_at"]


async def test_read_returns_what_was_created(client: AsyncClient) -> None:
    """A note is read as it was returned on creation."""
    note = await create(client, tags=["b", "a"])

    answer = await client.get(f"{NOTES}/{note['id']}")

    assert answer.json() == note
    assert answer.headers["ETag"] == '"1"'


async def test_read_unknown_note(client: AsyncClient) -> None:
    """An unknown note has its own problem type."""
    answer = await client.get(f"{NOTES}/{uuid4()}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:problem:note-not-found"


async def test_conditional_read(client: AsyncClient) -> None:
    """A client that has the current version gets 304 without a body."""
    note = await create(client)

    answer = await client.get(f"{NOTES}/{note['id']}", headers={"If-None-Match": 'W/"1"'})

    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["ETag"] == '"1"'


async def test_update_changes_only_what_is_sent(client: AsyncClient) -> None:
    """Fields left out stay as they are."""
    note = await create(client, tags=["old"])

    answer = await client.patch(f"{NOTES}/{note['id']}", json={"title": "New"})

    changed = answer.json()
    assert answer.headers["ETag"] == '"2"'
    assert changed["title"] == "New"
    assert changed["body"] == note["body"]
    assert changed["tags"] == ["old"]
    assert changed["created_at"] == note["created_at"]
    assert changed["updated_at"] > note["updated_at"]


async def test_update_replaces_tags(client: AsyncClient) -> None:
    """Tags are sent as a whole; existing ones are reused."""
    note = await create(client, tags=["a", "b"])

    answer = await client.patch(f"{NOTES}/{note['id']}", json={"tags": ["c", "b"]})

    assert answer.json()["tags"] == ["b", "c"]
    assert (await client.get(f"{NOTES}/{note['id']}")).json() == answer.json()


async def test_changing_only_tags_makes_a_new_version(client: AsyncClient) -> None:
    """The entity tag covers everything in a note, including its tags."""
    note = await create(client, tags=["a"])

    answer = await client.patch(f"{NOTES}/{note['id']}", json={"tags": ["b"]})

    assert answer.headers["ETag"] == '"2"'
    assert answer.json()["updated_at"] > note["updated_at"]


async def test_stale_entity_tag_is_refused(client: AsyncClient) -> None:
    """An update based on an old version is refused."""
    url = f"{NOTES}/{(await create(client, title='Old'))['id']}"
    await client.patch(url, json={"title": "Current"})

    stale = {"If-Match": '"1"'}
    answers = [
        await client.patch(url, json={"title": "Lost update"}, headers=stale),
        await client.delete(url, headers=stale),
    ]

    assert [answer.status_code for answer in answers] == [412, 412]
    assert [answer.json()["type"] for answer in answers] == ["urn:problem:note-changed"] * 2
    assert (await client.get(url)).json()["title"] == "Current"


async def test_current_entity_tag_is_accepted(client: AsyncClient) -> None:
    """An update based on the current version succeeds."""
    note = await create(client)

    answer = await client.patch(f"{NOTES}/{note['id']}", json={"title": "New"}, headers={"If-Match": '"7", "1"'})

    assert answer.status_code == 200


async def test_delete(client: AsyncClient) -> None:
    """A deleted note is gone, and deleting it again is 404."""
    note = await create(client, tags=["a"])

    first = await client.delete(f"{NOTES}/{note['id']}", headers={"If-Match": "*"})
    second = await client.delete(f"{NOTES}/{note['id']}")

    assert (first.status_code, second.status_code) == (204, 404)


NO_NOTES: list[tuple[object, list[str]]] = [
    ({}, ["body", "title"]),
    ({"title": ""}, ["body", "title"]),
    ({"title": "x" * 201}, ["body", "title"]),
    ({"title": "a\x00b"}, ["body", "title"]),
    ({"title": "fine", "body": "x" * 100_001}, ["body", "body"]),
    ({"title": "fine", "body": None}, ["body", "body"]),
    ({"title": "fine", "tags": "not a list"}, ["body", "tags"]),
    ({"title": "fine", "tags": [""]}, ["body", "tags"]),
    ({"title": "fine", "tags": ["line\nbreak"]}, ["body", "tags"]),
    ({"title": "fine", "tags": [str(i) for i in range(21)]}, ["body", "tags"]),
    ({"title": "fine", "owner_id": "another user"}, ["body", "owner_id"]),
    ({"title": 5}, ["body", "title"]),
    ([], ["body"]),
    ("text", ["body"]),
]


async def test_create_refuses_invalid_notes(client: AsyncClient) -> None:
    """Wrong, missing, unknown and oversized fields are each named."""
    for body, location in NO_NOTES:
        answer = await client.post(NOTES, json=body)

        assert answer.status_code == 422, body
        assert answer.json()["errors"][0]["location"][:2] == location, body


async def test_update_refuses_null(client: AsyncClient) -> None:
    """Null is not the same as leaving a field out."""
    url = f"{NOTES}/{(await create(client))['id']}"

    for field in ["title", "body", "tags"]:
        answer = await client.patch(url, json={field: None})

        assert answer.status_code == 422, field
        assert answer.json()["errors"][0]["location"][:2] == ["body", field]


async def test_empty_update(client: AsyncClient) -> None:
    """It creates no new version."""
    note = await create(client)

    answer = await client.patch(f"{NOTES}/{note['id']}", json={})

    assert answer.json() == note


async def test_rendered_markdown_is_harmless(client: AsyncClient) -> None:
    """Markdown becomes HTML; HTML in a note and script links stay text."""
    note = await create(client, title="<b>T</b>", body="**bold** <script>alert(1)</script> [x](javascript:alert(1))")

    answer = await client.get(f"{NOTES}/{note['id']}/html")

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<strong>bold</strong>" in answer.text
    assert "&lt;b&gt;T&lt;/b&gt;" in answer.text
    assert "<script>" not in answer.text
    assert 'href="javascript' not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
