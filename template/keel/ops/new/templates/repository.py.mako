"""Queries on ${r.plural.words}."""

from uuid import UUID

from sqlalchemy import select

% for target in r.targets:
from ${target.module} import ${target.model}
% endfor
from app.${r.plural} import schemas
from app.${r.plural}.models import ${r.singular.pascal}
from keel.db.repository import Repository
from keel.web.pagination import Page


class ${r.singular.pascal}Repository(Repository[${r.singular.pascal}]):
% if r.read_only:
    """${r.plural.words.capitalize()}: `get` and `page` are inherited."""
% else:
    """${r.plural.words.capitalize()}: `get`, `page`, `add`, `get_for_update`, `update` and `delete` are inherited."""
% endif

    model = ${r.singular.pascal}

    async def search(self, ${"".join(f"{name}: {kind}, " for name, kind in r.scope)}query: schemas.${r.singular.pascal}Query) -> Page[schemas.${r.singular.pascal}]:
        """Return a page of ${r.whose}."""
% if r.filters:
        filters = query.model_dump(include={${", ".join(f'"{field.name}"' for field in r.filters)}}, exclude_none=True)
% endif
        return await self.page(schemas.${r.singular.pascal}, query${"".join(f", {name}={name}" for name, _ in r.scope)}${", **filters" if r.filters else ""})
% if r.parent:

    async def ${r.parent.singular}_exists(self, ${r.parent_id}: UUID, ${"owner_id: str, " if r.parent.owned else ""}*, lock: bool = False) -> bool:
        """Return whether there is such ${r.parent.singular.one}; with a lock, it can be deleted only after the transaction."""
        statement = select(${r.parent.model}.id).where(${r.parent.model}.id == ${r.parent_id}${f", {r.parent.model}.owner_id == owner_id" if r.parent.owned else ""})
        if lock:
            statement = statement.with_for_update(read=True, key_share=True)
        return await self.session.first(statement) is not None
% endif
% for field in r.references:

    async def ${field.short}_exists(self, ${field.name}: UUID${"".join(f", {name}: {kind}" for name, kind in r.limits(field.target))}) -> bool:
        """Return whether there is such ${field.target.singular.one}, and lock it until the transaction ends."""
        statement = select(${field.target.model}.id).where(${field.target.model}.id == ${field.name}${"".join(f", {field.target.model}.{name} == {name}" for name, _ in r.limits(field.target))})
        return await self.session.first(statement.with_for_update(read=True, key_share=True)) is not None
% endfor
