"""Request and response models."""
<%
    finite = ", allow_inf_nan=False" if any(field.kind == "json" for field in r.fields) else ""
%>\

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import MISSING, BaseModel, Field, JsonValue

% for field in r.fields:
% if field.members:
from app.${r.plural}.models import ${field.python}
% endif
% endfor
from keel.clock import UtcDatetime
from keel.text import SafeStr
from keel.web.pagination import PageQuery

% for field in r.fields:
% if field.alias and (field.filtered or not r.read_only):
${field.alias} = ${field.body}
% endif
% endfor
% if not r.read_only:


class ${r.singular.pascal}Create(BaseModel, extra="forbid"${finite}):
    """A new ${r.singular.words}."""

% for field in r.fields:
    ${field.name}: ${field.sent}${" | None" if field.nullable else ""}${f" = {field.default}" if field.default else ""}
% endfor


class ${r.singular.pascal}Update(BaseModel, extra="forbid"${finite}):
    """Changes to ${r.singular.one}; omitted fields stay as they are."""

% for field in r.fields:
    ${field.name}: ${field.sent} | MISSING${" | None" if field.nullable else ""} = MISSING
% endfor
% endif


class ${r.singular.pascal}(BaseModel, from_attributes=True):
    """${r.singular.one.capitalize()}."""

    id: UUID
% if r.parent:
    ${r.parent_id}: UUID
% endif
% for field in r.fields:
    ${field.name}: ${field.annotation}
% endfor


class ${r.singular.pascal}Query(PageQuery):
    """The filters and order of a list of ${r.plural.words}; with a minus, highest first."""

% for field in r.filters:
    ${field.name}: ${field.sent} | None = None
% endfor
    sort: Literal[${", ".join(f'"{name}", "-{name}"' for name in r.sorts)}] = "${r.sorts[0]}"
