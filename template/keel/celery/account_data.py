"""Tasks of an account that is deleted or merged."""

from sqlalchemy import delete, update

from keel.celery.models import Task
from keel.db.database import Session
from keel.services import Services


class TaskAccountData:
    """Tasks by their owner. An attempt at a deleted task stops at its next checkpoint or heartbeat."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's tasks with their results."""
        await session.execute(delete(Task).where(Task.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Assign a subject's tasks to another."""
        await session.execute(update(Task).where(Task.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> TaskAccountData:
    """Return the handler of tasks, for `keel.auth`."""
    return TaskAccountData()
