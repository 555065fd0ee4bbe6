"""HTTP for ${r.plural.words}."""
<%
    above = "/" + r.parent.table.slug + "/{" + r.parent_id + "}" if r.parent else ""
    path = f"{above}/{r.plural.slug}"
    missing = f"{r.singular.pascal}NotFound"
    refusals = [f"{field.short.pascal}NotFound" for field in r.references] + [f"{r.singular.pascal}Exists"] * bool(r.unique)
    errors = [missing, *([f"{r.parent.model}NotFound"] if r.parent else []), *([] if r.read_only else refusals)]
    documented = lambda *names: f", responses=responses({', '.join(dict.fromkeys(names))})" if names else ""
%>\

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, Security, status

from app.${r.plural}.schemas import ${r.singular.pascal}, ${r.singular.pascal}Create, ${r.singular.pascal}Query, ${r.singular.pascal}Update
from app.${r.plural}.service import ${", ".join(dict.fromkeys([f"{r.singular.pascal}Service", *errors]))}
from keel.dependencies import ReadSessionDep, SessionDep
% if not r.read_only:
from keel.idempotency.route import IdempotentRoute
% endif
from keel.identity import RESPONSES, CallerDep, current_caller
from keel.web.errors import InUse, responses
from keel.web.pagination import LinksDep, Page

router = APIRouter(prefix="${path}", tags=["${r.plural.slug}"]${"" if r.read_only else ", route_class=IdempotentRoute"}, responses=${"RESPONSES" if not r.parent else "{**RESPONSES, **responses(" + r.parent.model + "NotFound)}"}${"" if r.caller else ", dependencies=[Security(current_caller)]"})


async def get_read_service(session: ReadSessionDep${", caller: CallerDep" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> ${r.singular.pascal}Service:
    """Return the service for a request that reads."""
    return ${r.singular.pascal}Service(session${", caller" if r.caller else ""}${f", {r.parent_id}" if r.parent else ""})
% if not r.read_only:


async def get_service(session: SessionDep${", caller: CallerDep" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> ${r.singular.pascal}Service:
    """Return the service for a request that writes, in one transaction."""
    return ${r.singular.pascal}Service(session${", caller" if r.caller else ""}${f", {r.parent_id}" if r.parent else ""})
% endif


${r.plural.pascal}ReadDep = Annotated[${r.singular.pascal}Service, Depends(get_read_service)]
% if not r.read_only:
${r.plural.pascal}Dep = Annotated[${r.singular.pascal}Service, Depends(get_service)]
% endif


@router.get("")
async def list_${r.plural}(query: Annotated[${r.singular.pascal}Query, Query()], ${r.plural.variable}: ${r.plural.pascal}ReadDep, links: LinksDep) -> Page[${r.singular.pascal}]:
    """List ${"your " if r.owned else ""}${r.whose if r.parent else r.plural.words}."""
    return links.add(await ${r.plural.variable}.list(query))
% if not r.read_only:


@router.post("", status_code=status.HTTP_201_CREATED${documented(*refusals)})
async def create_${r.singular}(data: ${r.singular.pascal}Create, ${r.plural.variable}: ${r.plural.pascal}Dep, request: Request, response: Response) -> ${r.singular.pascal}:
    """Add ${r.singular.one}."""
    ${r.singular.variable} = await ${r.plural.variable}.create(data)
    response.headers["Location"] = f"{request.url.path}/{${r.singular.variable}.id}"
    return ${r.singular.variable}
% endif


@router.get("/{${r.singular}_id}"${documented(missing)})
async def read_${r.singular}(${r.singular}_id: UUID, ${r.plural.variable}: ${r.plural.pascal}ReadDep) -> ${r.singular.pascal}:
    """Read ${r.singular.one}."""
    return await ${r.plural.variable}.get(${r.singular}_id)
% if not r.read_only:


@router.patch("/{${r.singular}_id}"${documented(missing, *refusals)})
async def update_${r.singular}(${r.singular}_id: UUID, data: ${r.singular.pascal}Update, ${r.plural.variable}: ${r.plural.pascal}Dep) -> ${r.singular.pascal}:
    """Change the fields of ${r.singular.one} that you send."""
    return await ${r.plural.variable}.update(${r.singular}_id, data)


@router.delete("/{${r.singular}_id}", status_code=status.HTTP_204_NO_CONTENT${documented(missing, "InUse")})
async def delete_${r.singular}(${r.singular}_id: UUID, ${r.plural.variable}: ${r.plural.pascal}Dep) -> None:
    """Delete ${r.singular.one}."""
    await ${r.plural.variable}.delete(${r.singular}_id)
% endif
