"""HTTP for ${r.words}."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, Security, status

from app.${r.plural}.schemas import ${r.model}, ${r.model}Create, ${r.model}Query, ${r.model}Update
from app.${r.plural}.service import ${", ".join([f"{r.model}Service", *r.errors])}
from keel.dependencies import ReadSessionDep, SessionDep
% if not r.read_only:
from keel.idempotency.route import IdempotentRoute
% endif
from keel.identity import RESPONSES, CallerDep, current_caller
from keel.web.errors import InUse, responses
from keel.web.pagination import LinksDep, Page

router = APIRouter(prefix="${r.prefix}", tags=["${r.slugs}"]${"" if r.read_only else ", route_class=IdempotentRoute"}, responses=${"RESPONSES" if not r.parent else "{**RESPONSES, **responses(" + r.parent.model + "NotFound)}"}${"" if r.caller else ", dependencies=[Security(current_caller)]"})


async def get_read_service(session: ReadSessionDep${", caller: CallerDep" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> ${r.model}Service:
    """Return the service for a request that reads."""
    return ${r.model}Service(session${", caller" if r.caller else ""}${f", {r.parent_id}" if r.parent else ""})
% if not r.read_only:


async def get_service(session: SessionDep${", caller: CallerDep" if r.caller else ""}${f", {r.parent_id}: UUID" if r.parent else ""}) -> ${r.model}Service:
    """Return the service for a request that writes, in one transaction."""
    return ${r.model}Service(session${", caller" if r.caller else ""}${f", {r.parent_id}" if r.parent else ""})
% endif


${r.models}ReadDep = Annotated[${r.model}Service, Depends(get_read_service)]
% if not r.read_only:
${r.models}Dep = Annotated[${r.model}Service, Depends(get_service)]
% endif


@router.get("")
async def list_${r.plural}(query: Annotated[${r.model}Query, Query()], ${r.vars}: ${r.models}ReadDep, links: LinksDep) -> Page[${r.model}]:
    """List ${"your " if r.owned else ""}${r.whose if r.parent else r.words}."""
    return links.add(await ${r.vars}.list(query))
% if not r.read_only:


@router.post("", status_code=status.HTTP_201_CREATED${r.documented(*r.refusals)})
async def create_${r.singular}(data: ${r.model}Create, ${r.vars}: ${r.models}Dep, request: Request, response: Response) -> ${r.model}:
    """Add ${r.one}."""
    ${r.var} = await ${r.vars}.create(data)
    response.headers["Location"] = f"{request.url.path}/{${r.var}.id}"
    return ${r.var}
% endif


@router.get("/{${r.id}}"${r.documented(f"{r.model}NotFound")})
async def read_${r.singular}(${r.id}: UUID, ${r.vars}: ${r.models}ReadDep) -> ${r.model}:
    """Read ${r.one}."""
    return await ${r.vars}.get(${r.id})
% if not r.read_only:


@router.patch("/{${r.id}}"${r.documented(f"{r.model}NotFound", *r.refusals)})
async def update_${r.singular}(${r.id}: UUID, data: ${r.model}Update, ${r.vars}: ${r.models}Dep) -> ${r.model}:
    """Change what you send of ${r.one}."""
    return await ${r.vars}.update(${r.id}, data)


@router.delete("/{${r.id}}", status_code=status.HTTP_204_NO_CONTENT${r.documented(f"{r.model}NotFound", "InUse")})
async def delete_${r.singular}(${r.id}: UUID, ${r.vars}: ${r.models}Dep) -> None:
    """Delete ${r.one}."""
    await ${r.vars}.delete(${r.id})
% endif
