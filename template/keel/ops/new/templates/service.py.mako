"""The rules of ${r.plural.words}: ${"who owns them, and what is refused" if r.caller else "what is refused"}."""
<%
    # The errors about what is referred to: classes, words, and whether that has owners.
    absent = {r.parent.model: (r.parent.singular.words, r.parent.owned)} if r.parent else {}
    if not r.read_only:
        others = [field for field in r.references if field.short.pascal != r.singular.pascal]
        absent |= {field.short.pascal: (field.label, bool(r.limits(field.target))) for field in others}
    same = " or ".join(field.label for field in r.unique)
    taken = f"{'You have' if r.owned and not r.parent else 'There is'} {r.singular.one} with this {same} already."
%>\

from uuid import UUID

from app.${r.plural} import models
from app.${r.plural}.repository import ${r.singular.pascal}Repository
from app.${r.plural}.schemas import ${r.singular.pascal}, ${r.singular.pascal}Create, ${r.singular.pascal}Query, ${r.singular.pascal}Update
from keel.caller import Caller
from keel.db.database import ReadSession, Session
from keel.db.repository import unique
from keel.web.errors import Conflict, NotFound
from keel.web.pagination import Page


class ${r.singular.pascal}NotFound(NotFound):
    """There is no such ${r.singular.words}${", or it belongs to another owner" if r.caller else ""}."""

    type = "urn:problem:${r.singular.slug}-not-found"
% for name, (title, owned) in absent.items():


class ${name}NotFound(NotFound):
    """There is no such ${title}${", or it belongs to another owner" if owned else ""}."""

    type = "urn:problem:${title.replace(" ", "-")}-not-found"
% endfor
% if r.unique and not r.read_only:


class ${r.singular.pascal}Exists(Conflict):
    """There is already ${r.singular.one} with the same ${same}."""

    type = "urn:problem:${r.singular.slug}-exists"
% endif


class ${r.singular.pascal}Service:
% if r.read_only:
    """Reads ${r.whose}."""
% else:
    """Reads and changes ${r.whose}; with a `ReadSession` it can only read."""
% endif

    def __init__(self, session: ${"ReadSession" if r.read_only else "Session | ReadSession"}${", caller: Caller" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> None:
        self._${r.plural} = ${r.singular.pascal}Repository(session)
% if r.caller:
        self._owner_id = caller.subject
% endif
% if r.parent:
        self._${r.parent_id} = ${r.parent_id}
% endif

    async def list(self, query: ${r.singular.pascal}Query) -> Page[${r.singular.pascal}]:
        """Return a page of ${r.plural.words}."""
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        return await self._${r.plural}.search(${"".join(f"self._{name}, " for name, _ in r.scope)}query)

    async def get(self, ${r.singular}_id: UUID) -> ${r.singular.pascal}:
        """Return ${r.singular.one}."""
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        ${r.singular.variable} = await self._${r.plural}.get(id=${r.singular}_id${r.where})
        if ${r.singular.variable} is None:
            raise ${r.singular.pascal}NotFound("There is no such ${r.singular.words}.")
        return ${r.singular.pascal}.model_validate(${r.singular.variable})
% if not r.read_only:

    async def create(self, data: ${r.singular.pascal}Create) -> ${r.singular.pascal}:
        """Add ${r.singular.one}."""
% if r.parent:
        await self._check_${r.parent.singular}(lock=True)
% endif
% for field in r.references:
        await self._check_${field.short}(data.${field.name})
% endfor
<%def name="guarded(statement)">\
% if r.unique:
        with unique(${r.singular.pascal}Exists("${taken}")):
            ${statement}
% else:
        ${statement}
% endif
</%def>\
${guarded(f"{r.singular.variable} = await self._{r.plural}.add({r.where.removeprefix(', ')}{', ' if r.where else ''}**data.model_dump())")}\
        return ${r.singular.pascal}.model_validate(${r.singular.variable})

    async def update(self, ${r.singular}_id: UUID, data: ${r.singular.pascal}Update) -> ${r.singular.pascal}:
        """Change ${r.singular.one}."""
        ${r.singular.variable} = await self._get_for_update(${r.singular}_id)
% if r.references:
        changes = data.model_dump(exclude_unset=True)
% for field in r.references:
        await self._check_${field.short}(changes.get("${field.name}"))
% endfor
${guarded(f"await self._{r.plural}.update({r.singular.variable}, **changes)")}\
% else:
${guarded(f"await self._{r.plural}.update({r.singular.variable}, **data.model_dump(exclude_unset=True))")}\
% endif
        return ${r.singular.pascal}.model_validate(${r.singular.variable})

    async def delete(self, ${r.singular}_id: UUID) -> None:
        """Delete ${r.singular.one}."""
        await self._${r.plural}.delete(await self._get_for_update(${r.singular}_id))

    async def _get_for_update(self, ${r.singular}_id: UUID) -> models.${r.singular.pascal}:
% if r.parent:
        await self._check_${r.parent.singular}()
% endif
        ${r.singular.variable} = await self._${r.plural}.get_for_update(id=${r.singular}_id${r.where})
        if ${r.singular.variable} is None:
            raise ${r.singular.pascal}NotFound("There is no such ${r.singular.words}.")
        return ${r.singular.variable}
% endif
% if r.parent:

    async def _check_${r.parent.singular}(self${"" if r.read_only else ", *, lock: bool = False"}) -> None:
        if not await self._${r.plural}.${r.parent.singular}_exists(self._${r.parent_id}${", self._owner_id" if r.parent.owned else ""}${"" if r.read_only else ", lock=lock"}):
            raise ${r.parent.model}NotFound("There is no such ${r.parent.singular.words}.")
% endif
% if not r.read_only:
% for field in r.references:

    async def _check_${field.short}(self, ${field.name}: UUID | None) -> None:
        if ${field.name} is not None and not await self._${r.plural}.${field.short}_exists(${field.name}${"".join(f", self._{name}" for name, _ in r.limits(field.target))}):
            raise ${field.short.pascal}NotFound("There is no such ${field.label}.")
% endfor
% endif
