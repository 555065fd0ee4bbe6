"""What happens to tasks when their owner goes or changes."""

from sqlalchemy import delete, update

from keel.celery.models import Task
from keel.db.database import Session
from keel.services import Services


class TaskAccountData:
    """Tasks, as they belong to subjects. A task that runs notices at its next checkpoint that it is gone."""

    async def delete(self, session: Session, subject: str) -> None:
        """Delete a subject's tasks with their results."""
        await session.execute(delete(Task).where(Task.owner_id == subject))

    async def transfer_ownership(self, session: Session, old: str, new: str) -> None:
        """Give a subject's tasks to another."""
        await session.execute(update(Task).where(Task.owner_id == old).values(owner_id=new))


def account_data(_: Services) -> TaskAccountData:
    """Return the handler of tasks, for `keel.auth`."""
    return TaskAccountData()
