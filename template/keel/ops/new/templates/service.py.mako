"""The rules of ${r.words}: ${"who owns them, and what is refused" if r.caller else "what is refused"}."""

from uuid import UUID

from app.${r.plural} import models
from app.${r.plural}.repository import ${r.model}Repository
from app.${r.plural}.schemas import ${r.model}, ${r.model}Create, ${r.model}Query, ${r.model}Update
from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.db.repository import unique
from keel.web.errors import Conflict, NotFound
from keel.web.pagination import Page


class ${r.model}NotFound(NotFound):
    """There is no such ${r.word}${", or it belongs to another owner" if r.caller else ""}."""

    type = "urn:problem:${r.slug}-not-found"
% for name, title, owned in r.absent:


class ${name}NotFound(NotFound):
    """There is no such ${title}${", or it belongs to another owner" if owned else ""}."""

    type = "urn:problem:${title.replace(" ", "-")}-not-found"
% endfor
% if r.unique and not r.read_only:


class ${r.model}Exists(Conflict):
    """There is ${r.one} with the same ${r.same} already."""

    type = "urn:problem:${r.slug}-exists"
% endif


class ${r.model}Service:
% if r.read_only:
    """Reads ${r.whose}."""
% else:
    """Reads and changes ${r.whose}; with a `ReadSession` it can only read."""
% endif

    def __init__(self, session: ${"ReadSession" if r.read_only else "Session | ReadSession"}${", caller: Caller" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> None:
        self._${r.plural} = ${r.model}Repository(session)
% if r.caller:
        self._owner_id = caller.subject
% endif
% if r.parent:
        self._${r.parent_id} = ${r.parent_id}
% endif

    async def list(self, query: ${r.model}Query) -> Page[${r.model}]:
        """Return a page of ${r.words}."""
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        return await self._${r.plural}.search(${"".join(f"self._{name}, " for name, _ in r.scope)}query)

    async def get(self, ${r.id}: UUID) -> ${r.model}:
        """Return ${r.one}."""
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        ${r.var} = await self._${r.plural}.get(id=${r.id}${r.where})
        if ${r.var} is None:
            raise ${r.model}NotFound("There is no such ${r.word}.")
        return ${r.model}.model_validate(${r.var})
% if not r.read_only:

    async def create(self, data: ${r.model}Create) -> ${r.model}:
        """Add ${r.one}."""
% if r.parent:
        await self._check_${r.parent.singular}(lock=True)
% endif
% for field in r.references:
        await self._check_${field.short}(data.${field.name})
% endfor
<%def name="guarded(statement)">\
% if r.unique:
        with unique(${r.model}Exists("${r.taken}")):
            ${statement}
% else:
        ${statement}
% endif
</%def>\
${guarded(f"{r.var} = await self._{r.plural}.add({r.where.removeprefix(', ')}{', ' if r.where else ''}**data.model_dump())")}\
        return ${r.model}.model_validate(${r.var})

    async def update(self, ${r.id}: UUID, data: ${r.model}Update) -> ${r.model}:
        """Change ${r.one}."""
        ${r.var} = await self._get_for_update(${r.id})
% if r.references:
        changes = data.model_dump(exclude_unset=True)
% for field in r.references:
        await self._check_${field.short}(changes.get("${field.name}"))
% endfor
${guarded(f"await self._{r.plural}.update({r.var}, **changes)")}\
% else:
${guarded(f"await self._{r.plural}.update({r.var}, **data.model_dump(exclude_unset=True))")}\
% endif
        return ${r.model}.model_validate(${r.var})

    async def delete(self, ${r.id}: UUID) -> None:
        """Delete ${r.one}."""
        await self._${r.plural}.delete(await self._get_for_update(${r.id}))

    async def _get_for_update(self, ${r.id}: UUID) -> models.${r.model}:
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        ${r.var} = await self._${r.plural}.get_for_update(id=${r.id}${r.where})
        if ${r.var} is None:
            raise ${r.model}NotFound("There is no such ${r.word}.")
        return ${r.var}
% endif
% if r.parent:

    async def _check_${r.parent.singular}(self${"" if r.read_only else ", *, lock: bool = False"}) -> None:
        if not await self._${r.plural}.${r.parent.singular}_exists(self._${r.parent_id}${", self._owner_id" if r.parent.owned else ""}${"" if r.read_only else ", lock=lock"}):
            raise ${r.parent.model}NotFound("There is no such ${r.parent.word}.")
% endif
% if not r.read_only:
% for field in r.references:

    async def _check_${field.short}(self, ${field.name}: UUID | None) -> None:
        if ${field.name} is not None and not await self._${r.plural}.${field.short}_exists(${field.name}${"".join(f", self._{name}" for name, _ in r.limits(field.target))}):
            raise ${field.absent}NotFound("There is no such ${field.label}.")
% endfor
% endif
