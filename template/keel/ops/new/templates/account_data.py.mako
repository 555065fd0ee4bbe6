"""What happens to ${r.words} when their owner's account is deleted, or when they get another owner."""

from sqlalchemy import delete, update

from app.${r.plural}.models import ${r.model}
from keel.db.database import Session
from keel.services import Services


class ${r.model}AccountData:
    """The ${r.words} of a subject."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's ${r.words}."""
        await session.execute(delete(${r.model}).where(${r.model}.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Give a subject's ${r.words} to another one."""
        await session.execute(update(${r.model}).where(${r.model}.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> ${r.model}AccountData:
    """Return what does so."""
    return ${r.model}AccountData()
