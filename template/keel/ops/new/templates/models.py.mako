"""The table of ${r.plural.words}."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, Numeric, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

% for target in r.targets:
from ${target.module} import ${target.model}
% endfor
from keel.db.models import Base
% for field in r.fields:
% if field.members:


class ${field.python}(StrEnum):
    """The ${field.label} of ${r.singular.one}."""

% for name, value in field.members:
    ${name} = "${value}"
% endfor
% endif
% endfor


class ${r.singular.pascal}(Base):
    """${r.singular.one.capitalize()}${" of one owner" if r.owned else f" of {r.parent.singular.one}" if r.parent else ""}."""

    __tablename__ = "${r.plural}"
% if r.constraints:
    __table_args__ = (${", ".join(r.constraints)}${"," if len(r.constraints) == 1 else ""})
% endif

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
% if r.parent:
    ${r.parent_id}: Mapped[UUID] = mapped_column(ForeignKey(${r.parent.key}, ondelete="CASCADE"))
% endif
% if r.owned:
    owner_id: Mapped[str] = mapped_column(String(255))
% endif
% for field in r.fields:
    ${field.name}: Mapped[${field.annotation}]${field.column}
% endfor
