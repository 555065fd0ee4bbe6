"""${r.plural.words.capitalize()} of an account that is deleted or merged."""

from sqlalchemy import delete, update

from app.${r.plural}.models import ${r.singular.pascal}
from keel.db.database import Session
from keel.services import Services


class ${r.singular.pascal}AccountData:
    """The ${r.plural.words} of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's ${r.plural.words}."""
        await session.execute(delete(${r.singular.pascal}).where(${r.singular.pascal}.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Transfer a subject's ${r.plural.words} to another one."""
        await session.execute(update(${r.singular.pascal}).where(${r.singular.pascal}.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> ${r.singular.pascal}AccountData:
    """Return the handler of ${r.plural.words}."""
    return ${r.singular.pascal}AccountData()
